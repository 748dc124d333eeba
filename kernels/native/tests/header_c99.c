/* The header is C99, and a whole session in C: the six steps of its first comment. */
#include "punctum.h"

#include <stdio.h>
#include <string.h>

static const char manifest[] =
    "{\"schema\": \"1.0\", \"id\": \"c\", \"labels\": [\"wave\"], \"features\": {\"dim\": 2, \"stride_s\": 0.5},"
    " \"locator\": {\"file\": \"l.onnx\"}, \"post\": {\"class_thresholds\": [0.25, 0.5], \"right_context_s\": 1.0}}";

#define NEED(condition)                                                                  \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, error.message);        \
      return 1;                                                                          \
    }                                                                                    \
  } while (0)

int main(void) {
  punctum_error error = {{0}, {0}};
  punctum_plan* plan = NULL;
  punctum_session* session = NULL;
  punctum_plan_info facts = PUNCTUM_PLAN_INFO_INIT;
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  punctum_want want = PUNCTUM_WANT_INIT;
  punctum_event event = PUNCTUM_EVENT_INIT;
  float tracks[20][2];
  size_t i, events = 0;

  for (i = 0; i < 20; ++i) tracks[i][0] = tracks[i][1] = i >= 6 && i < 12 ? 0.9f : 0.1f;
  NEED(punctum_abi_version() == PUNCTUM_ABI_VERSION);
  NEED(strlen(punctum_version()) >= 5);
  NEED(punctum_plan_from_manifest(manifest, sizeof manifest - 1, &plan, &error) == PUNCTUM_OK);
  NEED(punctum_plan_describe(plan, &facts, &error) == PUNCTUM_OK);
  NEED(facts.classes == 1 && facts.stride_s == 0.5 && facts.needs_scores == 0);
  NEED(strcmp(punctum_plan_label(plan, 0), "wave") == 0);
  options.stream = "door";
  NEED(punctum_session_create(plan, &options, &session, &error) == PUNCTUM_OK);
  punctum_plan_free(plan); /* the session keeps what it needs */
  chunk.count = 20;
  chunk.tracks = &tracks[0][0];
  NEED(punctum_push(session, &chunk, &error) == PUNCTUM_OK);
  NEED(punctum_next_want(session, &want, &error) == PUNCTUM_EMPTY);
  NEED(punctum_flush(session, &error) == PUNCTUM_OK);
  while (punctum_poll(session, &event, &error) == PUNCTUM_OK) {
    NEED(strcmp(event.label, "wave") == 0 && strcmp(event.stream, "door") == 0 && strcmp(event.bundle, "c") == 0);
    if (events++ == 0) NEED(event.start > 2.5 && event.start < 3.5 && event.end > 5.5 && event.end < 6.5);
  }
  NEED(events >= 1);
  NEED(punctum_session_describe(session, &info, &error) == PUNCTUM_OK);
  NEED(info.closed == 1 && info.pushed == 20 && info.finals == (int64_t)events);
  punctum_session_free(session);
  printf("ok     a session in C: %u events\n", (unsigned)events);
  return 0;
}
