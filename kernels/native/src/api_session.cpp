#include <limits>
#include <stdexcept>

#include "api.h"
#include "json.h"

namespace {

using namespace punctum;

constexpr std::size_t kEventSize = offsetof(punctum_event, start_utc);  // of the first version

// A session's call under its lock.
template <class Work>
punctum_status with(punctum_session* handle, punctum_error* error, Work work) noexcept {
  return guard(error, [&] {
    need(handle, "session");
    const std::lock_guard<std::mutex> held(handle->lock);
    return work(*handle->session);
  });
}

}  // namespace

extern "C" {

const char* punctum_version(void) noexcept { return PUNCTUM_VERSION; }
int32_t punctum_abi_version(void) noexcept { return PUNCTUM_ABI_VERSION; }

const char* punctum_status_name(punctum_status status) noexcept {
  switch (status) {
    case PUNCTUM_OK: return "ok";
    case PUNCTUM_EMPTY: return "empty";
    case PUNCTUM_ERROR_ARGUMENT: return "argument";
    case PUNCTUM_ERROR_STATE: return "state";
    case PUNCTUM_ERROR_CONFIG: return "config";
    case PUNCTUM_ERROR_CAPACITY: return "capacity";
    case PUNCTUM_ERROR_SNAPSHOT: return "snapshot";
    case PUNCTUM_ERROR_MEMORY: return "memory";
    case PUNCTUM_ERROR_INTERNAL: return "internal";
    case PUNCTUM_ERROR_DEVICE: return "device";
  }
  return "unknown";
}

const char* punctum_phase_name(int32_t phase) noexcept {
  switch (phase) {
    case PUNCTUM_PHASE_OPEN: return "open";
    case PUNCTUM_PHASE_UPDATE: return "update";
    case PUNCTUM_PHASE_FINAL: return "final";
    case PUNCTUM_PHASE_RETRACTED: return "retracted";
    default: return "unknown";
  }
}

punctum_status punctum_plan_from_manifest(const char* text, size_t size, punctum_plan** plan,
                                          punctum_error* error) noexcept {
  return guard(error, [&] {
    need(plan, "plan") = nullptr;
    need(text, "text");
    size_of(size, "size");
    auto made = std::make_unique<punctum_plan>();
    made->plan = std::make_shared<const Plan>(read_manifest({text, size}));
    *plan = made.release();
    return PUNCTUM_OK;
  });
}

void punctum_plan_free(punctum_plan* plan) noexcept { delete plan; }

punctum_status punctum_plan_describe(const punctum_plan* plan, punctum_plan_info* info, punctum_error* error) noexcept {
  return guard(error, [&] {
    const Plan& p = *need(plan, "plan").plan;
    need_size(need(info, "info"), "info");
    punctum_plan_info out = PUNCTUM_PLAN_INFO_INIT;
    out.classes = p.labels.size();
    out.dim = static_cast<size_t>(p.dim);
    out.stride_s = p.stride_s;
    out.left = p.left;
    out.right = p.right;
    out.context = p.context();
    out.look_ahead_s = p.look_ahead_s();
    out.overhang_s = p.overhang_s;
    out.pool_context = p.post.context;
    out.pool_max_context = p.post.right_context_s / p.stride_s;
    out.needs_scores = p.post.fusion.needs_head();
    out.has_center = p.has_center;
    out.bundle = p.bundle.c_str();
    give(*info, out);
    return PUNCTUM_OK;
  });
}

const char* punctum_plan_label(const punctum_plan* plan, size_t index) noexcept {
  return plan && index < plan->plan->labels.size() ? plan->plan->labels[index].c_str() : nullptr;
}

punctum_status punctum_session_create(const punctum_plan* plan, const punctum_session_options* options,
                                      punctum_session** session, punctum_error* error) noexcept {
  return guard(error, [&] {
    need(session, "session") = nullptr;
    need(plan, "plan");
    const punctum_session_options initial = PUNCTUM_SESSION_OPTIONS_INIT;
    const punctum_session_options given =
        options ? take(*options, initial, "options", offsetof(punctum_session_options, run_id)) : initial;
    Options made;
    made.stream = given.stream ? given.stream : "";
    if (!json::is_text(made.stream)) refuse("stream-name", "a stream name that is not UTF-8", "UTF-8 text");
    made.run_id = given.run_id ? given.run_id : "";
    if (!json::is_run_id(made.run_id)) {
      refuse("run-id", "run id " + made.run_id.substr(0, 80), "up to 64 letters, digits, dots, dashes and underscores",
             "choose another");
    }
    if (given.mode != PUNCTUM_MODE_TRACKS && given.mode != PUNCTUM_MODE_WINDOWS) {
      refuse("mode", "mode " + std::to_string(given.mode), "PUNCTUM_MODE_TRACKS, PUNCTUM_MODE_WINDOWS");
    }
    if (given.keep_features != 0 && given.keep_features != 1) {
      refuse("keep-features", "keep_features " + std::to_string(given.keep_features), "0, 1");
    }
    made.start_s = given.start_s;
    made.windows = given.mode == PUNCTUM_MODE_WINDOWS;
    made.keep_features = given.keep_features == 1;
    made.live = {given.max_delay_s, given.report_score, given.open_score, given.tick_s};
    auto handle = std::make_unique<punctum_session>();
    handle->plan = plan->plan;
    handle->session = std::make_unique<Session>(plan->plan, std::move(made));
    *session = handle.release();
    return PUNCTUM_OK;
  });
}

void punctum_session_free(punctum_session* session) noexcept { delete session; }

punctum_status punctum_push(punctum_session* session, const punctum_chunk* chunk, punctum_error* error) noexcept {
  return with(session, error, [&](Session& s) {
    const punctum_chunk& given = need(chunk, "chunk");
    need_size(given, "chunk");
    area_of(given.count, static_cast<std::size_t>(std::max(s.plan().dim, s.plan().classes() + 1)), "chunk.count");
    if (given.has_at != 0 && given.has_at != 1) refuse("time", "has_at " + std::to_string(given.has_at), "0, 1");
    if (!s.keeps_features() && given.features) {
      refuse("features-unwanted", "features for a session that does not keep them", "features NULL",
             "set keep_features when the session is created");
    }
    if (s.takes_windows() && given.tracks) {
      refuse("tracks-unwanted", "tracks for a session that asks for windows", "tracks NULL",
             "create the session with PUNCTUM_MODE_TRACKS");
    }
    const Index losses = size_of(given.lost_count, "chunk.lost_count");
    need_array(given.lost, losses, "chunk.lost");
    std::vector<LostFrames> lost;
    for (Index i = 0; i < losses; ++i) lost.push_back({given.lost[i].row, given.lost[i].frames});
    s.push(given.features, given.tracks, static_cast<Index>(given.count), given.has_at ? &given.at_s : nullptr, lost);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_push_tracks(punctum_session* session, const float* tracks, size_t count,
                                   punctum_error* error) noexcept {
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.tracks = tracks;
  chunk.count = count;
  return punctum_push(session, &chunk, error);
}

punctum_status punctum_gap(punctum_session* session, double at_s, punctum_error* error) noexcept {
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.has_at = 1;
  chunk.at_s = at_s;
  return punctum_push(session, &chunk, error);
}

punctum_status punctum_flush(punctum_session* session, punctum_error* error) noexcept {
  return with(session, error, [](Session& s) {
    s.flush();
    return PUNCTUM_OK;
  });
}

punctum_status punctum_reset(punctum_session* session, double start_s, punctum_error* error) noexcept {
  return with(session, error, [start_s](Session& s) {
    s.reset(start_s);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_abandon(punctum_session* session, punctum_error* error) noexcept {
  return with(session, error, [](Session& s) {
    s.abandon();
    return PUNCTUM_OK;
  });
}

punctum_status punctum_set_degraded(punctum_session* session, int32_t degraded, punctum_error* error) noexcept {
  return with(session, error, [degraded](Session& s) {
    if (degraded != 0 && degraded != 1) refuse("degraded", "degraded " + std::to_string(degraded), "0, 1");
    s.degrade(degraded == 1);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_next_want(punctum_session* session, punctum_want* want, punctum_error* error) noexcept {
  return with(session, error, [want](Session& s) {
    need_size(need(want, "want"), "want");
    const Want& open = s.want();
    punctum_want out = PUNCTUM_WANT_INIT;
    out.kind = open.kind;
    if (open.kind != PUNCTUM_WANT_NOTHING) {
      out.inner = open.inner;
      out.first = open.first;
      out.rows = static_cast<size_t>(open.rows);
      out.features = open.features;
      out.tracks = open.tracks;
      out.count = open.labels.size();
      out.segments = open.labels.empty() ? nullptr : open.segments.data();
      out.labels = open.labels.empty() ? nullptr : open.labels.data();
    }
    give(*want, out);
    return open.kind == PUNCTUM_WANT_NOTHING ? PUNCTUM_EMPTY : PUNCTUM_OK;
  });
}

punctum_status punctum_answer_locate(punctum_session* session, const float* tracks, size_t rows, size_t columns,
                                     punctum_error* error) noexcept {
  return with(session, error, [&](Session& s) {
    if (columns != static_cast<size_t>(s.plan().classes() + 1)) {
      refuse("backend-shape", "the locator returned " + std::to_string(columns) + " columns",
             std::to_string(s.plan().classes() + 1) + ": the classes, then actionness", "check the graph");
    }
    need_array(tracks, area_of(rows, columns, "rows"), "tracks");
    s.answer_locate(tracks, static_cast<Index>(rows));
    return PUNCTUM_OK;
  });
}

punctum_status punctum_answer_score(punctum_session* session, const float* class_probability, const float* attention,
                                    const float* center, size_t count, size_t classes, punctum_error* error) noexcept {
  return with(session, error, [&](Session& s) {
    if (classes != static_cast<size_t>(s.plan().classes())) {
      refuse("backend-shape", "scores of " + std::to_string(classes) + " classes", std::to_string(s.plan().classes()),
             "check the graph");
    }
    area_of(count, classes, "count");
    s.answer_score({class_probability, attention, center}, static_cast<Index>(count));
    return PUNCTUM_OK;
  });
}

punctum_status punctum_want_bins(punctum_session* session, size_t bins, double* edges, size_t capacity,
                                 punctum_error* error) noexcept {
  return with(session, error, [&](Session& s) {
    const Want& open = s.want();
    if (open.kind != PUNCTUM_WANT_SCORE) {
      fail(PUNCTUM_ERROR_STATE, "no-want", "bins without an open PUNCTUM_WANT_SCORE", "an open want of that kind",
           "call punctum_next_want first");
    }
    if (bins < 6 || bins % 6 != 0 || bins > 6000) {
      refuse("bins", "bins is " + std::to_string(bins), "a multiple of 6 up to 6000", "use 6, 12, 18, ...");
    }
    const std::size_t needed = open.labels.size() * (bins + 1);
    if (capacity < needed) {
      fail(PUNCTUM_ERROR_CAPACITY, "capacity", "room for " + std::to_string(capacity) + " values",
           std::to_string(needed) + " or more", "give a larger buffer");
    }
    need_array(edges, static_cast<Index>(needed), "edges");
    const double max_context = s.plan().post.right_context_s / s.plan().stride_s;
    for (std::size_t i = 0; i < open.labels.size(); ++i) {
      const Segment segment{open.segments[2 * i], open.segments[2 * i + 1]};
      bin_edges(segment, static_cast<Index>(bins), s.plan().post.context, max_context, edges + i * (bins + 1));
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_poll(punctum_session* session, punctum_event* event, punctum_error* error) noexcept {
  return with(session, error, [&](Session& s) {
    need_size(need(event, "event"), "event", kEventSize);
    Event next;
    if (!s.next_event(next)) return PUNCTUM_EMPTY;
    session->event_id = std::move(next.id);
    punctum_event out = PUNCTUM_EVENT_INIT;
    out.stream = s.stream().c_str();
    out.id = session->event_id.c_str();
    out.label = session->plan->labels[next.label].c_str();
    out.bundle = session->plan->bundle.c_str();
    out.label_index = next.label;
    out.revision = next.revision;
    out.dropped = next.dropped;
    out.phase = next.phase;
    out.ended = next.ended;
    out.interrupted = next.interrupted;
    out.degraded = next.degraded;
    out.score = next.score;
    out.has_raw_score = session->plan->calibrated();
    if (out.has_raw_score != 0) out.raw_score = next.raw_score;
    out.start = next.start;
    out.end = next.end;
    out.emitted_at = next.emitted_at;
    out.delay_s = next.delay_s;
    give(*event, out);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_session_describe(punctum_session* session, punctum_session_info* info,
                                        punctum_error* error) noexcept {
  return with(session, error, [info](Session& s) {
    need_size(need(info, "info"), "info");
    punctum_session_info out = PUNCTUM_SESSION_INFO_INIT;
    out.now_s = s.now_s();
    out.look_ahead_s = s.look_ahead_s();
    out.keep_from = s.keep_from();
    out.pushed = s.counts().pushed;
    out.islands = s.counts().islands;
    out.finals = s.counts().finals;
    out.gaps = s.counts().gaps;
    out.dropped = s.counts().dropped;
    out.waiting_events = s.waiting_events();
    out.state_bytes = s.bytes();
    out.want = s.want().kind;
    out.closed = s.closed();
    give(*info, out);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_snapshot(punctum_session* session, unsigned char* bytes, size_t capacity, size_t* needed,
                                punctum_error* error) noexcept {
  return with(session, error, [&](Session& s) {
    need(needed, "needed") = 0;
    const std::vector<unsigned char> frozen = s.freeze();
    *needed = frozen.size();
    if (capacity < frozen.size()) {
      fail(PUNCTUM_ERROR_CAPACITY, "capacity", "room for " + std::to_string(capacity) + " bytes",
           std::to_string(frozen.size()) + " or more", "give a larger buffer");
    }
    std::memcpy(&need(bytes, "bytes"), frozen.data(), frozen.size());
    return PUNCTUM_OK;
  });
}

punctum_status punctum_session_restore(const punctum_plan* plan, const unsigned char* bytes, size_t size,
                                       punctum_session** session, punctum_error* error) noexcept {
  return guard(error, [&] {
    need(session, "session") = nullptr;
    need(plan, "plan");
    need(bytes, "bytes");
    size_of(size, "size");
    auto handle = std::make_unique<punctum_session>();
    handle->plan = plan->plan;
    handle->session = Session::thaw(plan->plan, bytes, size);
    *session = handle.release();
    return PUNCTUM_OK;
  });
}

punctum_status punctum_event_to_json(const punctum_event* event, char* text, size_t capacity, size_t* needed,
                                     punctum_error* error) noexcept {
  return guard(error, [&] {
    need(needed, "needed") = 0;
    const punctum_event e = take(need(event, "event"), PUNCTUM_EVENT_INIT, "event", kEventSize);
    for (const char* given : {e.stream, e.id, e.label, e.bundle, e.start_utc, e.end_utc}) {
      if (given && !json::is_text(given)) refuse("text", "an event with text that is not UTF-8", "UTF-8 text");
    }
    std::string line = "{\"schema\":\"punctum.event/1\"";
    const auto key = [&line](const char* name) { ((line += ",\"") += name) += "\":"; };
    const auto string = [&](const char* name, const char* value) { key(name), json::quote(value ? value : "", line); };
    const auto real = [&](const char* name, double value) { key(name), json::number(value, line); };
    const auto flag = [&](const char* name, bool value) { key(name), line += value ? "true" : "false"; };
    string("stream", e.stream);
    key("revision"), line += std::to_string(e.revision);
    string("phase", punctum_phase_name(e.phase));
    string("label", e.label);
    real("score", e.score);
    real("start", e.start);
    real("end", e.end);
    real("emitted_at", e.emitted_at);
    real("delay_s", e.delay_s);
    string("bundle", e.bundle);
    flag("ended", e.ended != 0);
    key("dropped"), line += std::to_string(e.dropped);
    flag("interrupted", e.interrupted != 0);
    flag("degraded", e.degraded != 0);
    const auto clock = [&](const char* name, const char* value) { value ? string(name, value) : (key(name), void(line += "null")); };
    clock("start_utc", e.start_utc);
    clock("end_utc", e.end_utc);
    e.has_raw_score != 0 ? real("raw_score", e.raw_score) : (key("raw_score"), void(line += "null"));
    string("event", e.id);
    line += '}';
    *needed = line.size() + 1;
    if (capacity < line.size() + 1) {
      fail(PUNCTUM_ERROR_CAPACITY, "capacity", "room for " + std::to_string(capacity) + " bytes",
           std::to_string(line.size() + 1) + " or more", "give a larger buffer");
    }
    std::memcpy(&need(text, "text"), line.c_str(), line.size() + 1);
    return PUNCTUM_OK;
  });
}

}  // extern "C"
