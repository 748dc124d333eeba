/* Drives libpunctum as a C pipeline does, for benchmarks/native.py: pushes tracks chunk by chunk, polls, and times each
 * push with its polls. */
#define _POSIX_C_SOURCE 199309L
#include <punctum.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* micros, said: [ceil(rows / chunk)], spent and events of each push. Returns a punctum_status. */
int drive(punctum_session* session, const float* tracks, size_t rows, size_t columns, size_t chunk, double* micros,
          int32_t* said, punctum_error* error) {
  punctum_event event = PUNCTUM_EVENT_INIT;
  for (size_t at = 0, k = 0; at < rows; at += chunk, ++k) {
    const double began = now();
    const size_t count = rows - at < chunk ? rows - at : chunk;
    punctum_status status = punctum_push_tracks(session, tracks + at * columns, count, error);
    said[k] = 0;
    while (status == PUNCTUM_OK && (status = punctum_poll(session, &event, error)) == PUNCTUM_OK) ++said[k];
    micros[k] = now() - began;
    if (status < 0) return status;
  }
  return PUNCTUM_OK;
}

/* For memory: the same of `count` sessions, without times. */
int drive_all(punctum_session** sessions, size_t count, const float* tracks, size_t rows, punctum_error* error) {
  punctum_event event = PUNCTUM_EVENT_INIT;
  for (size_t k = 0; k < count; ++k) {
    punctum_status status = punctum_push_tracks(sessions[k], tracks, rows, error);
    while (status == PUNCTUM_OK && (status = punctum_poll(sessions[k], &event, error)) == PUNCTUM_OK) continue;
    if (status < 0) return status;
  }
  return PUNCTUM_OK;
}
