/* libpunctum: from a locator's tracks to events, for C and C++ pipelines. C ABI; depends only on the C++ runtime.
 *
 * What it does. Your engine runs the two graphs of a bundle; this library does the rest: islands, proposals, bins for
 * pooling, aligned confidence, boundary adaptation (ABA), suppression, provisional reports, events. It is the twin of
 * punctum.runtime.Session in Python: the same calls give the same events. It does no input or output, starts no
 * thread, and keeps no global state.
 *
 * Usage, in six steps:
 *   1. punctum_plan_from_manifest(text, size, &plan, &error)      the bundle's manifest.json, as bytes
 *   2. punctum_session_create(plan, &options, &session, &error)   one per stream
 *   3. punctum_push(session, &chunk, &error)                      the next snippets
 *   4. while punctum_next_want(session, &want, &error) returns a request: run that graph, and
 *      punctum_answer_locate / punctum_answer_score
 *   5. while punctum_poll(session, &event, &error) == PUNCTUM_OK: use the event
 *   6. punctum_flush(session, &error), then 4 and 5 once more; punctum_session_free, punctum_plan_free
 *
 * Two modes.
 *   PUNCTUM_MODE_TRACKS   You run the locator and push its rows, float32 [n, C + 1]: C class tracks, then actionness.
 *       Rows must be final: with a locator that needs L snippets before and R after a snippet, row t of a section (an
 *       unbroken part of the stream) depends on features t - L .. t + R, fewer at both ends of the section. Push row t
 *       once feature t + R is known, and the last R rows at the end of the section (before flush, a gap, or a chunk
 *       after a gap). R counts as look-ahead beyond the snippet (`emitted_at` and `delay_s` include it). Only
 *       PUNCTUM_WANT_SCORE occurs.
 *   PUNCTUM_MODE_WINDOWS  You push features, or only their number; the session requests locator windows
 *       (PUNCTUM_WANT_LOCATE) with the context that the manifest declares, and with max_delay_s it computes
 *       provisional tracks up to the last snippet, exactly like the Python session.
 *   Final events agree between the modes in everything but `emitted_at` and `delay_s`.
 *
 * Ownership. Handles belong to the caller and are freed by the matching _free (NULL is fine; a plan may be freed before
 * its sessions). All other memory belongs to the caller or is borrowed: pointers in punctum_want are valid until the next
 * call that changes the session, strings in punctum_event until the next punctum_poll or punctum_session_free, strings of
 * a plan as long as the plan. The caller never frees memory of the library, and no exception leaves the library.
 *
 * Units. Times are double seconds on the media clock. A snippet is one row of features; row t of a section covers
 * [start_s + t * stride_s, start_s + (t + 1) * stride_s). Segments of wants and of the kernels are in snippet-center
 * coordinates: x = t is the center of row t of the window, seconds = start_s + (x + 0.5) * stride_s. Arrays are dense,
 * row-major. Text is UTF-8. Tracks, class probabilities, attention and center scores are probabilities: values outside
 * 0..1 by more than 0.001 are rejected. Media times lie within 2^34 s (17,179,869,184 s, 544 years) of 0: float64 is
 * spaced 1.9 microseconds there, well below the 1e-4 s to which events agree.
 *
 * Threads. Sessions are independent. Calls on one session may come from several threads, one waits for the other;
 * borrowed pointers are then for the callers to guard. A plan never changes and may be shared. Freeing while another
 * thread uses the same handle is an error.
 *
 * Errors. Every call that can fail returns a punctum_status and fills `error` (may be NULL), which the caller owns: what
 * is wrong, what is allowed, what to do next. A rejected call changes nothing. Negative values are errors.
 *
 * An engine that fails. A want stays open, unchanged, until it is answered: run the graph again and answer later, and the
 * events are those of a run without the failure. Events can be polled meanwhile. If the engine does not come back,
 * punctum_abandon ends the stream: open reports are retracted, so that every report is final or retracted.
 *
 * Structures begin with struct_size, so that older programs work with newer libraries: start from PUNCTUM_..._INIT.
 */
#ifndef PUNCTUM_H
#define PUNCTUM_H

#include <stddef.h>
#include <stdint.h>

#define PUNCTUM_ABI_VERSION 1

#if defined(_WIN32) && defined(PUNCTUM_SHARED)
#ifdef PUNCTUM_BUILDING
#define PUNCTUM_API __declspec(dllexport)
#else
#define PUNCTUM_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define PUNCTUM_API __attribute__((visibility("default")))
#else
#define PUNCTUM_API
#endif

#ifdef __cplusplus
#define PUNCTUM_NOEXCEPT noexcept
extern "C" {
#else
#define PUNCTUM_NOEXCEPT
#endif

typedef enum punctum_status {
  PUNCTUM_OK = 0,
  PUNCTUM_EMPTY = 1,           /* nothing there: no event to poll, nothing wanted */
  PUNCTUM_ERROR_ARGUMENT = -1, /* NULL, a wrong size, NaN, a number out of range */
  PUNCTUM_ERROR_STATE = -2,    /* a call out of order */
  PUNCTUM_ERROR_CONFIG = -3,   /* a manifest that cannot be read */
  PUNCTUM_ERROR_CAPACITY = -4, /* the caller's buffer is too small; the needed size is returned */
  PUNCTUM_ERROR_SNAPSHOT = -5, /* damaged bytes, or those of another bundle */
  PUNCTUM_ERROR_MEMORY = -6,
  PUNCTUM_ERROR_INTERNAL = -7,
  PUNCTUM_ERROR_DEVICE = -8 /* of libpunctum_cuda alone: no device, memory of the host, a launch that failed */
} punctum_status;

/* Filled by a call that fails. code: stable, machine-readable, the same as in Python where Python has it. */
typedef struct punctum_error {
  char code[48];
  char message[464];
} punctum_error;

typedef struct punctum_plan punctum_plan;       /* what a session needs to know about a bundle; immutable */
typedef struct punctum_session punctum_session; /* one stream */

/* Version of the library, such as "0.1.0", and of the ABI it was built with. */
PUNCTUM_API const char* punctum_version(void) PUNCTUM_NOEXCEPT;
PUNCTUM_API int32_t punctum_abi_version(void) PUNCTUM_NOEXCEPT;
/* "ok", "empty", "argument", ...; never NULL. */
PUNCTUM_API const char* punctum_status_name(punctum_status status) PUNCTUM_NOEXCEPT;

/* --- plan ------------------------------------------------------------------------------------------------------ */

/* Read the parts of a bundle's manifest.json that a session needs: schema, id, labels, features, locator, center,
 * backbone (its look-ahead), post. Other keys are ignored. The graphs and their hashes are not read. */
PUNCTUM_API punctum_status punctum_plan_from_manifest(const char* text, size_t size, punctum_plan** plan,
                                                      punctum_error* error) PUNCTUM_NOEXCEPT;
PUNCTUM_API void punctum_plan_free(punctum_plan* plan) PUNCTUM_NOEXCEPT;

typedef struct punctum_plan_info {
  size_t struct_size;
  size_t classes;          /* C */
  size_t dim;              /* columns of the features */
  double stride_s;         /* seconds of a snippet */
  int64_t left, right;     /* receptive field of the locator, in snippets */
  int64_t context;         /* snippets beyond an island that scoring may read, on either side */
  double look_ahead_s;     /* algorithmic delay: right, context, and what clips reach ahead */
  double overhang_s;       /* media beyond a snippet that its features need */
  double pool_context;     /* context of pooling, as a part of a proposal's length */
  double pool_max_context; /* and its bound, in snippets */
  int32_t needs_scores;    /* 1: PUNCTUM_WANT_SCORE will come; 0: the locator's word is enough */
  int32_t has_center;      /* the bundle has a center scorer */
  const char* bundle;      /* id */
} punctum_plan_info;
#define PUNCTUM_PLAN_INFO_INIT {sizeof(punctum_plan_info), 0, 0, 0.0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0, NULL}

PUNCTUM_API punctum_status punctum_plan_describe(const punctum_plan* plan, punctum_plan_info* info,
                                                 punctum_error* error) PUNCTUM_NOEXCEPT;
/* Name of a class; NULL for an index out of range. */
PUNCTUM_API const char* punctum_plan_label(const punctum_plan* plan, size_t index) PUNCTUM_NOEXCEPT;

/* --- session --------------------------------------------------------------------------------------------------- */

enum { PUNCTUM_MODE_TRACKS = 0, PUNCTUM_MODE_WINDOWS = 1 };

typedef struct punctum_session_options {
  size_t struct_size;
  const char* stream;    /* name, part of every event; NULL is "" */
  double start_s;        /* media time of the first snippet */
  int32_t mode;          /* PUNCTUM_MODE_... */
  int32_t keep_features; /* 1: features are pushed and kept as long as a window can need them */
  double max_delay_s;    /* an action that ended, and scores report_score, is first reported at most this late;
                            0: final events only */
  double report_score;   /* provisional events whose score (calibrated, if the bundle is) is below it are not reported;
                            -1: all whose raw score is at least 0.01 */
  double open_score;     /* nor running ones below this */
  double tick_s;         /* distance of reports; 0: a third of max_delay_s */
  const char* run_id;    /* part of every event id, so that ids of a stream that was started again differ from those
                            before: up to 64 letters, digits, dots, dashes, underscores. A reset counts as a start and
                            is appended. NULL or "": ids depend on the media alone. Programs built before this member existed leave
                            it out, by struct_size */
} punctum_session_options;
#define PUNCTUM_SESSION_OPTIONS_INIT {sizeof(punctum_session_options), NULL, 0.0, 0, 0, 0.0, -1.0, 0.25, 0.0, NULL}

PUNCTUM_API punctum_status punctum_session_create(const punctum_plan* plan, const punctum_session_options* options,
                                                  punctum_session** session, punctum_error* error) PUNCTUM_NOEXCEPT;
PUNCTUM_API void punctum_session_free(punctum_session* session) PUNCTUM_NOEXCEPT;

typedef struct punctum_loss {
  int64_t row;    /* of the chunk */
  int64_t frames; /* video frames that are missing in that snippet */
} punctum_loss;

typedef struct punctum_chunk {
  size_t struct_size;
  size_t count;             /* snippets; 0 is fine */
  const float* features;    /* [count, dim], with keep_features; else NULL */
  const float* tracks;      /* [count, C + 1], in PUNCTUM_MODE_TRACKS; else NULL */
  int32_t has_at;           /* 1: at_s is given; 0: directly after the previous chunk */
  double at_s;              /* media time of the first. Half a snippet later than expected is a gap */
  const punctum_loss* lost; /* [lost_count] or NULL */
  size_t lost_count;
} punctum_chunk;
#define PUNCTUM_CHUNK_INIT {sizeof(punctum_chunk), 0, NULL, NULL, 0, 0.0, NULL, 0}

/* Take the next snippets. PUNCTUM_ERROR_STATE while a want is open, and after flush. */
PUNCTUM_API punctum_status punctum_push(punctum_session* session, const punctum_chunk* chunk,
                                        punctum_error* error) PUNCTUM_NOEXCEPT;
/* The same for settled tracks that follow the last ones: PUNCTUM_MODE_TRACKS without keep_features. */
PUNCTUM_API punctum_status punctum_push_tracks(punctum_session* session, const float* tracks, size_t count,
                                               punctum_error* error) PUNCTUM_NOEXCEPT;
/* Nothing will come before media time at_s; what still runs ends there, as `interrupted`. */
PUNCTUM_API punctum_status punctum_gap(punctum_session* session, double at_s, punctum_error* error) PUNCTUM_NOEXCEPT;
/* The stream has ended: everything that waits becomes an event. Then only reset and reading are left. */
PUNCTUM_API punctum_status punctum_flush(punctum_session* session, punctum_error* error) PUNCTUM_NOEXCEPT;
/* Forget the stream, its open wants and reports, keep the configuration; a new one begins at start_s. Events that were
 * not polled stay. It also revives a session after PUNCTUM_ERROR_INTERNAL or PUNCTUM_ERROR_MEMORY. */
PUNCTUM_API punctum_status punctum_reset(punctum_session* session, double start_s, punctum_error* error)
    PUNCTUM_NOEXCEPT;
/* The engine cannot answer any more: end the stream without it. An open want is dropped, open reports are retracted,
 * unfinished actions are lost. Afterwards only reset, polling and reading are possible. */
PUNCTUM_API punctum_status punctum_abandon(punctum_session* session, punctum_error* error) PUNCTUM_NOEXCEPT;
/* 1: reduced scoring from now on (fewer thresholds, no center scorer; events are marked degraded); 0: full scoring. */
PUNCTUM_API punctum_status punctum_set_degraded(punctum_session* session, int32_t degraded,
                                                punctum_error* error) PUNCTUM_NOEXCEPT;

enum { PUNCTUM_WANT_NOTHING = 0, PUNCTUM_WANT_LOCATE = 1, PUNCTUM_WANT_SCORE = 2 };

/* A request of the session to your engine. One at a time; unchanged until it is answered. */
typedef struct punctum_want {
  size_t struct_size;
  int32_t kind;           /* PUNCTUM_WANT_... */
  int32_t inner;          /* LOCATE: the window has its whole left context, so rows put before it change nothing.
                             SCORE: no pooling reaches beyond the window, so windows may be joined end to end */
  int64_t first;          /* its first snippet, counted over all that were pushed since create or reset */
  size_t rows;            /* its length in snippets */
  const float* features;  /* [rows, dim], with keep_features; else NULL: take them from your own buffer */
  const float* tracks;    /* SCORE: [rows, C + 1] */
  size_t count;           /* SCORE: proposals */
  const float* segments;  /* SCORE: [count, 2] in the window's snippet-center coordinates */
  const int64_t* labels;  /* SCORE: [count] */
} punctum_want;
#define PUNCTUM_WANT_INIT {sizeof(punctum_want), 0, 0, 0, 0, NULL, NULL, 0, NULL, NULL}

/* PUNCTUM_OK with a want, PUNCTUM_EMPTY with kind 0 when nothing is wanted. */
PUNCTUM_API punctum_status punctum_next_want(punctum_session* session, punctum_want* want,
                                             punctum_error* error) PUNCTUM_NOEXCEPT;
/* Tracks of the whole window [rows, C + 1]. */
PUNCTUM_API punctum_status punctum_answer_locate(punctum_session* session, const float* tracks, size_t rows,
                                                 size_t columns, punctum_error* error) PUNCTUM_NOEXCEPT;
/* What the center scorer says of each proposal: class probability [count, classes], attention [count], center [count].
 * A term whose weight in the bundle's fusion is 0 may be NULL. */
PUNCTUM_API punctum_status punctum_answer_score(punctum_session* session, const float* class_probability,
                                                const float* attention, const float* center, size_t count,
                                                size_t classes, punctum_error* error) PUNCTUM_NOEXCEPT;
/* For engines that pool outside the graph: borders of `bins` bins (a multiple of 6) of each proposal of the open
 * PUNCTUM_WANT_SCORE, float64 [count, bins + 1], in the window's snippet-center coordinates. capacity: doubles. */
PUNCTUM_API punctum_status punctum_want_bins(punctum_session* session, size_t bins, double* edges, size_t capacity,
                                             punctum_error* error) PUNCTUM_NOEXCEPT;

enum { PUNCTUM_PHASE_OPEN = 0, PUNCTUM_PHASE_UPDATE = 1, PUNCTUM_PHASE_FINAL = 2, PUNCTUM_PHASE_RETRACTED = 3 };

/* One action. Who ignores all but PUNCTUM_PHASE_FINAL gets the offline answer. */
typedef struct punctum_event {
  size_t struct_size;
  const char* stream;
  const char* id;      /* the same in all events of one action */
  const char* label;
  const char* bundle;  /* id of the bundle */
  int64_t label_index;
  int64_t revision;    /* rises by one from saying to saying */
  int64_t dropped;     /* snippets lost at a break beside it, and video frames lost in it */
  int32_t phase;       /* PUNCTUM_PHASE_... */
  int32_t ended;       /* 0: it still runs, `end` is the latest instant seen */
  int32_t interrupted; /* the stream broke off while it ran */
  int32_t degraded;    /* by reduced scoring */
  double score;
  double start, end;   /* seconds on the media clock */
  double emitted_at;   /* media time at which all that this rests on had been seen */
  double delay_s;      /* emitted_at - end */
  const char* start_utc; /* time of day, such as "2026-05-01T10:00:00.000Z": NULL from punctum_poll, for the library has */
  const char* end_utc;   /* no clock; set them before punctum_event_to_json if you know. Older programs lack both */
  double raw_score;      /* score before calibration; has_raw_score 0: the bundle is not calibrated, and score is raw. */
  int32_t has_raw_score; /* Older programs lack both */
} punctum_event;
#define PUNCTUM_EVENT_INIT \
  {sizeof(punctum_event), NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, NULL, NULL, 0.0, 0}

/* The next event, in order; PUNCTUM_EMPTY when there is none. Events can be polled while a want is open. */
PUNCTUM_API punctum_status punctum_poll(punctum_session* session, punctum_event* event,
                                        punctum_error* error) PUNCTUM_NOEXCEPT;
/* One line of JSON without a line end, as Python's Event.to_json writes it, zero-terminated. *needed: bytes with the
 * zero; PUNCTUM_ERROR_CAPACITY if capacity is smaller. */
PUNCTUM_API punctum_status punctum_event_to_json(const punctum_event* event, char* text, size_t capacity,
                                                 size_t* needed, punctum_error* error) PUNCTUM_NOEXCEPT;
PUNCTUM_API const char* punctum_phase_name(int32_t phase) PUNCTUM_NOEXCEPT;

typedef struct punctum_session_info {
  size_t struct_size;
  double now_s;        /* media time up to which snippets were taken */
  double look_ahead_s; /* media after an action's end that a final answer may need, beyond its island's own end */
  int64_t keep_from;   /* the oldest snippet (counted as in punctum_want) that a coming want can ask for */
  int64_t pushed;      /* snippets taken since create or reset */
  int64_t islands, finals, gaps;
  int64_t dropped;     /* snippets that never came: the sum over all gaps */
  size_t waiting_events;
  size_t state_bytes;  /* memory held for this stream */
  int32_t want;        /* kind of the open want */
  int32_t closed;      /* flushed */
} punctum_session_info;
#define PUNCTUM_SESSION_INFO_INIT {sizeof(punctum_session_info), 0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

PUNCTUM_API punctum_status punctum_session_describe(punctum_session* session, punctum_session_info* info,
                                                    punctum_error* error) PUNCTUM_NOEXCEPT;

/* The whole state as bytes, for punctum_session_restore in another process. Two-call pattern: *needed is always set;
 * PUNCTUM_ERROR_CAPACITY if capacity is smaller. No want may be open, all events have to be polled. */
PUNCTUM_API punctum_status punctum_snapshot(punctum_session* session, unsigned char* bytes, size_t capacity,
                                            size_t* needed, punctum_error* error) PUNCTUM_NOEXCEPT;
PUNCTUM_API punctum_status punctum_session_restore(const punctum_plan* plan, const unsigned char* bytes, size_t size,
                                                   punctum_session** session, punctum_error* error) PUNCTUM_NOEXCEPT;

/* --- kernels: pure functions over the caller's arrays ------------------------------------------------------------
 *
 * Segments are float64 [n, 2] with start <= end, scores float64 [n], all finite; length_offset 1.0 gives the published
 * "+1" lengths. Outputs hold as many entries as the comment says; pointers of arrays without entries may be NULL. */

/* Intersection over union of every pair: out [n, m]. */
PUNCTUM_API punctum_status punctum_segment_iou(const double* a, size_t n, const double* b, size_t m,
                                               double length_offset, double* out,
                                               punctum_error* error) PUNCTUM_NOEXCEPT;
/* Greedy suppression: kept [n] gets the indices of the survivors, best first; *count says how many. */
PUNCTUM_API punctum_status punctum_nms(const double* segments, const double* scores, size_t n, double iou_threshold,
                                       double length_offset, int64_t* kept, size_t* count,
                                       punctum_error* error) PUNCTUM_NOEXCEPT;
/* Gaussian soft-NMS: index [n] in the order picked, decayed [n] their scores; *count says how many. */
PUNCTUM_API punctum_status punctum_soft_nms(const double* segments, const double* scores, size_t n, double sigma,
                                            double min_score, double length_offset, int64_t* index, double* decayed,
                                            size_t* count, punctum_error* error) PUNCTUM_NOEXCEPT;
/* The same within each group [offsets[g], offsets[g + 1]); offsets [groups + 1]; out_offsets [groups + 1]. */
PUNCTUM_API punctum_status punctum_suppress_groups(const double* segments, const double* scores, size_t n,
                                                   const int64_t* offsets, size_t groups, double sigma,
                                                   double min_score, double length_offset, int64_t* index,
                                                   double* decayed, int64_t* out_offsets,
                                                   punctum_error* error) PUNCTUM_NOEXCEPT;
/* ABA: out [n, 2] in the order of the input. */
PUNCTUM_API punctum_status punctum_adapt_boundaries(const double* segments, const double* scores, size_t n,
                                                    double iou_threshold, double* out,
                                                    punctum_error* error) PUNCTUM_NOEXCEPT;
PUNCTUM_API punctum_status punctum_adapt_groups(const double* segments, const double* scores, size_t n,
                                                const int64_t* offsets, size_t groups, double iou_threshold,
                                                double* out, punctum_error* error) PUNCTUM_NOEXCEPT;
/* All maximal runs of every column of tracks [length, columns] above every threshold [levels], sorted by column,
 * threshold, start: segments [capacity, 2], column [capacity], level [capacity]. *count is always set;
 * PUNCTUM_ERROR_CAPACITY if it is larger than capacity. */
PUNCTUM_API punctum_status punctum_find_runs(const float* tracks, size_t length, size_t columns,
                                             const double* thresholds, size_t levels, double* segments,
                                             int64_t* column, int64_t* level, size_t capacity, size_t* count,
                                             punctum_error* error) PUNCTUM_NOEXCEPT;
/* Mean inside minus mean in the margins, each min(margin * length, max_margin) wide. tracks [length, columns]; labels
 * [n] name each segment's column (NULL: column 0). contrast [n] and inside [n] (the mean inside) may be NULL. */
PUNCTUM_API punctum_status punctum_outer_inner_contrast(const float* tracks, size_t length, size_t columns,
                                                        const double* segments, const int64_t* labels, size_t n,
                                                        double margin, double max_margin, double* contrast,
                                                        double* inside, punctum_error* error) PUNCTUM_NOEXCEPT;
/* Borders of the bins of punctum_pool_segments: edges [n, bins + 1]; bins is a multiple of 6. */
PUNCTUM_API punctum_status punctum_bin_edges(const double* segments, size_t n, size_t bins, double context,
                                             double max_context, double* edges,
                                             punctum_error* error) PUNCTUM_NOEXCEPT;
/* Mean feature in each bin of each segment, widened by min(context * length, max_context) on both sides. features
 * [length, dim]; out float32 [n, bins, dim]. */
PUNCTUM_API punctum_status punctum_pool_segments(const float* features, size_t length, size_t dim,
                                                 const double* segments, size_t n, size_t bins, double context,
                                                 double max_context, float* out,
                                                 punctum_error* error) PUNCTUM_NOEXCEPT;
/* class probability [n, classes] x attention [n] x center [n]: out [n, classes]. */
PUNCTUM_API punctum_status punctum_fuse_confidence(const double* class_probability, const double* attention,
                                                   const double* center, size_t n, size_t classes, double* out,
                                                   punctum_error* error) PUNCTUM_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
