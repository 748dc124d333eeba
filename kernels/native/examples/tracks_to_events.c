/* Events of a file of tracks, as JSON Lines.
 *
 *   tracks_to_events MANIFEST TRACKS [--stream NAME] [--start SECONDS] [--max-delay SECONDS] [--degraded]
 *
 * TRACKS: raw float32 in the machine's byte order, row after row: C class tracks, then actionness (in Python:
 * numpy.float32 [T, C + 1].tofile(path)); "-" is standard input, so a pipe works as a live source. The rows must be
 * final, see PUNCTUM_MODE_TRACKS. A bundle whose final scores need the center scorer is an error; --degraded selects
 * reduced scoring without it, and marks the events `degraded`. Exit code 0, 1 (reading or writing failed) or 2 (bad
 * input).
 */
#include <errno.h>
#include <punctum.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 256 }; /* read at once */

static punctum_error error;

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, error.message);
  return 2;
}

/* The whole file, to be freed; NULL and errno on failure. */
static char* read_text(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  size_t room = 4096;
  char* text = file ? malloc(room) : NULL;
  *size = 0;
  while (text && !feof(file) && !ferror(file)) {
    if (*size == room) {
      char* grown = realloc(text, room *= 2);
      if (!grown) break;
      text = grown;
    }
    *size += fread(text + *size, 1, room - *size, file);
  }
  if (text && (ferror(file) || !feof(file))) {
    free(text);
    text = NULL;
  }
  if (file) fclose(file);
  return text;
}

/* Print what there is to say. */
static int say(punctum_session* session) {
  punctum_event event = PUNCTUM_EVENT_INIT;
  static char line[65536];
  size_t needed;
  punctum_status status;
  while ((status = punctum_poll(session, &event, &error)) == PUNCTUM_OK) {
    if (punctum_event_to_json(&event, line, sizeof line, &needed, &error) != PUNCTUM_OK) return fail("an event");
    if (puts(line) == EOF) return perror("writing"), 1;
  }
  if (fflush(stdout) == EOF) return perror("writing"), 1;
  return status == PUNCTUM_EMPTY ? 0 : fail("punctum_poll");
}

static int follow(punctum_session* session, FILE* tracks, size_t columns) {
  float* rows = malloc(ROWS * columns * sizeof *rows);
  size_t held = 0; /* bytes of a row that is not whole yet */
  int result = rows ? 0 : (perror("memory"), 1);
  const size_t row = columns * sizeof *rows;
  while (result == 0 && !feof(tracks)) {
    const size_t got = fread((char*)rows + held, 1, ROWS * row - held, tracks);
    const size_t count = (held + got) / row;
    if (ferror(tracks)) {
      perror("tracks");
      result = 1;
    } else if (punctum_push_tracks(session, rows, count, &error) != PUNCTUM_OK) {
      result = fail("tracks");
    } else {
      result = say(session);
    }
    held = held + got - count * row;
    memmove(rows, (char*)rows + count * row, held);
  }
  if (result == 0 && held > 0) {
    fprintf(stderr, "tracks: %zu bytes are left over after whole rows of %zu float32\n", held, columns);
    result = 2;
  }
  if (result == 0) result = punctum_flush(session, &error) == PUNCTUM_OK ? say(session) : fail("punctum_flush");
  free(rows);
  return result;
}

static int number(const char* text, double* value) {
  char* end;
  *value = strtod(text, &end);
  return end != text && *end == '\0';
}

static int run(int count, char** words, const punctum_plan* plan) {
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
  punctum_session* session = NULL;
  int degraded = 0, result;
  for (int k = 3; k < count; ++k) {
    const char* value = k + 1 < count ? words[k + 1] : "";
    if (strcmp(words[k], "--degraded") == 0) {
      degraded = 1;
      continue;
    }
    if (strcmp(words[k], "--stream") == 0 && k + 1 < count) {
      options.stream = value;
    } else if (!(strcmp(words[k], "--start") == 0 && number(value, &options.start_s)) &&
               !(strcmp(words[k], "--max-delay") == 0 && number(value, &options.max_delay_s))) {
      return fprintf(stderr, "what is %s %s?\n", words[k], value), 2;
    }
    ++k;
  }
  if (punctum_plan_describe(plan, &info, &error) != PUNCTUM_OK) return fail("the plan");
  if (info.needs_scores && !degraded) {
    fputs("this bundle scores with its center scorer, which needs an engine; use --degraded to run without it\n", stderr);
    return 2;
  }
  if (punctum_session_create(plan, &options, &session, &error) != PUNCTUM_OK) return fail("the session");
  FILE* tracks = strcmp(words[2], "-") == 0 ? stdin : fopen(words[2], "rb");
  if (!tracks) {
    perror(words[2]);
    result = 2;
  } else if (punctum_set_degraded(session, degraded, &error) != PUNCTUM_OK) {
    result = fail("the session");
  } else {
    result = follow(session, tracks, info.classes + 1);
  }
  if (tracks) fclose(tracks);
  punctum_session_free(session);
  return result;
}

int main(int count, char** words) {
  punctum_plan* plan = NULL;
  size_t size;
  if (count < 3) {
    fprintf(stderr, "%s MANIFEST TRACKS [--stream NAME] [--start SECONDS] [--max-delay SECONDS] [--degraded]\n", words[0]);
    return 2;
  }
  char* text = read_text(words[1], &size);
  if (!text) return perror(words[1]), 2;
  int result = punctum_plan_from_manifest(text, size, &plan, &error) == PUNCTUM_OK ? run(count, words, plan)
                                                                                     : fail(words[1]);
  free(text);
  punctum_plan_free(plan);
  return result;
}
