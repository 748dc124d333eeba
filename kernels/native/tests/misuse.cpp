// Every wrong call is answered with a code and a message, and changes nothing.
#include <cstddef>
#include <cstdint>
#include <limits>

#include "check.h"
#include "stream.h"

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();
constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max();

void judge(int line, punctum_status expected, const char* code, punctum_status status, const punctum_error& error,
           punctum_status silent) {
  const bool right = status == expected && std::string(error.code) == code && std::strlen(error.message) > 10;
  check::say(right, __FILE__, line,
             std::string("expected ") + punctum_status_name(expected) + " " + code + ", got " +
                 punctum_status_name(status) + " " + error.code + ": " + error.message);
  check::say(silent == expected, __FILE__, line, "another answer without an error to fill");
}

// Called with an error it says what was wrong; called without one it does no harm.
template <class Call>
void refused(int line, punctum_status expected, const char* code, Call call) {
  punctum_error error = {};
  const punctum_status status = call(&error);
  judge(line, expected, code, status, error, call(nullptr));
}
#define REFUSED(status, code, call) refused(__LINE__, status, code, [&](punctum_error* error) { return call; })
#define WRONG(code, call) REFUSED(PUNCTUM_ERROR_ARGUMENT, code, call)

stream::SessionPtr opened(const punctum_plan* plan, int mode) {
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.mode = mode;
  options.keep_features = mode == PUNCTUM_MODE_WINDOWS;
  return stream::open(plan, options);
}

std::int64_t pushed(punctum_session* session) {
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  punctum_session_describe(session, &info, nullptr);
  return info.pushed;
}

}  // namespace

TEST(null_handles) {
  const std::string text = stream::manifest();
  const stream::PlanPtr plan = stream::plan(text);
  punctum_plan* no_plan = nullptr;
  punctum_session* none = nullptr;
  punctum_plan_info facts = PUNCTUM_PLAN_INFO_INIT;
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  punctum_want want = PUNCTUM_WANT_INIT;
  punctum_event event = PUNCTUM_EVENT_INIT;
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  size_t size = 0;
  float value = 0;
  double edge = 0;
  WRONG("null", punctum_plan_from_manifest(nullptr, 4, &no_plan, error));
  WRONG("null", punctum_plan_from_manifest(text.data(), text.size(), nullptr, error));
  WRONG("size", punctum_plan_from_manifest(text.data(), kHuge, &no_plan, error));
  WRONG("null", punctum_plan_describe(nullptr, &facts, error));
  WRONG("null", punctum_plan_describe(plan.get(), nullptr, error));
  WRONG("null", punctum_session_create(nullptr, nullptr, &none, error));
  WRONG("null", punctum_session_create(plan.get(), nullptr, nullptr, error));
  WRONG("null", punctum_push(nullptr, &chunk, error));
  WRONG("null", punctum_push_tracks(nullptr, &value, 1, error));
  WRONG("null", punctum_gap(nullptr, 1.0, error));
  WRONG("null", punctum_flush(nullptr, error));
  WRONG("null", punctum_reset(nullptr, 0.0, error));
  WRONG("null", punctum_abandon(nullptr, error));
  WRONG("null", punctum_set_degraded(nullptr, 1, error));
  WRONG("null", punctum_next_want(nullptr, &want, error));
  WRONG("null", punctum_answer_locate(nullptr, &value, 1, 1, error));
  WRONG("null", punctum_answer_score(nullptr, &value, &value, &value, 1, 1, error));
  WRONG("null", punctum_want_bins(nullptr, 6, &edge, 1, error));
  WRONG("null", punctum_poll(nullptr, &event, error));
  WRONG("null", punctum_session_describe(nullptr, &info, error));
  WRONG("null", punctum_snapshot(nullptr, nullptr, 0, &size, error));
  WRONG("null", punctum_session_restore(plan.get(), nullptr, 9, &none, error));
  WRONG("null", punctum_session_restore(nullptr, reinterpret_cast<const unsigned char*>("x"), 1, &none, error));
  WRONG("null", punctum_event_to_json(nullptr, nullptr, 0, &size, error));
  WRONG("null", punctum_event_to_json(&event, nullptr, 0, nullptr, error));
  CHECK(!none && !no_plan);
  punctum_plan_free(nullptr);
  punctum_session_free(nullptr);
  CHECK(punctum_plan_label(nullptr, 0) == nullptr);
  CHECK(std::string(punctum_status_name(static_cast<punctum_status>(7))) == "unknown");
  CHECK(std::string(punctum_phase_name(-1)) == "unknown");
}

TEST(null_and_wrong_members) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const stream::SessionPtr session = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  punctum_session* s = session.get();
  const std::vector<float> rows = stream::tracks(1, 10);
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.count = 10;
  WRONG("null", punctum_push(s, nullptr, error));
  WRONG("null", punctum_push(s, &chunk, error));
  WRONG("null", punctum_poll(s, nullptr, error));
  WRONG("null", punctum_next_want(s, nullptr, error));
  WRONG("null", punctum_session_describe(s, nullptr, error));
  WRONG("null", punctum_snapshot(s, nullptr, 0, nullptr, error));
  WRONG("size", punctum_push_tracks(s, rows.data(), kHuge, error));
  WRONG("size", punctum_push_tracks(s, rows.data(), kHuge / 8, error));
  chunk.tracks = rows.data();
  chunk.features = rows.data();
  WRONG("features-unwanted", punctum_push(s, &chunk, error));
  chunk.features = nullptr;
  chunk.has_at = 2;
  WRONG("time", punctum_push(s, &chunk, error));
  chunk.has_at = 0;
  chunk.lost_count = 1;
  WRONG("null", punctum_push(s, &chunk, error));
  chunk.lost_count = kHuge;
  WRONG("size", punctum_push(s, &chunk, error));
  const punctum_loss losses[] = {{-1, 1}, {10, 1}, {0, -1}, {0, INT64_MAX}};
  chunk.lost_count = 1;
  for (const punctum_loss& loss : losses) {
    chunk.lost = &loss;
    WRONG("lost", punctum_push(s, &chunk, error));
  }
  chunk = PUNCTUM_CHUNK_INIT;
  chunk.struct_size = 0;
  WRONG("struct-size", punctum_push(s, &chunk, error));
  WRONG("degraded", punctum_set_degraded(s, 2, error));
  CHECK_SAME(pushed(s), std::int64_t{0});
  CHECK(punctum_push_tracks(s, nullptr, 0, nullptr) == PUNCTUM_OK);
}

TEST(sizes_of_structures) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const stream::SessionPtr session = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  punctum_session* made = nullptr;
  size_t size = 0;
  punctum_plan_info facts = {};
  punctum_session_options options = {};
  punctum_session_info info = {};
  punctum_want want = {};
  punctum_event event = {};
  WRONG("struct-size", punctum_plan_describe(plan.get(), &facts, error));
  WRONG("struct-size", punctum_session_create(plan.get(), &options, &made, error));
  WRONG("struct-size", punctum_session_describe(session.get(), &info, error));
  WRONG("struct-size", punctum_next_want(session.get(), &want, error));
  WRONG("struct-size", punctum_poll(session.get(), &event, error));
  WRONG("struct-size", punctum_event_to_json(&event, nullptr, 0, &size, error));
  // What a newer program has behind a structure stays its own.
  struct {
    punctum_session_info info;
    int more;
  } newer = {PUNCTUM_SESSION_INFO_INIT, 42};
  newer.info.struct_size = sizeof newer;
  CHECK(punctum_session_describe(session.get(), &newer.info, nullptr) == PUNCTUM_OK);
  CHECK(newer.more == 42 && newer.info.struct_size == sizeof newer);
}

// A program that was built before structures grew: what it does not have is neither read nor written.
TEST(structures_of_older_programs) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.struct_size = offsetof(punctum_session_options, run_id);
  options.run_id = reinterpret_cast<const char*>(8);  // not its own
  const stream::SessionPtr session = stream::open(plan.get(), options);
  CHECK(session != nullptr);
  const std::vector<float> rows = stream::tracks(1, 200);
  CHECK(punctum_push_tracks(session.get(), rows.data(), 200, nullptr) == PUNCTUM_OK);
  punctum_event event = PUNCTUM_EVENT_INIT;
  event.struct_size = offsetof(punctum_event, start_utc);
  event.start_utc = event.end_utc = reinterpret_cast<const char*>(8);
  CHECK(punctum_poll(session.get(), &event, nullptr) == PUNCTUM_OK);
  CHECK(event.start_utc == reinterpret_cast<const char*>(8) && event.label != nullptr);
  char text[1024];
  size_t needed = 0;
  CHECK(punctum_event_to_json(&event, text, sizeof text, &needed, nullptr) == PUNCTUM_OK);
  CHECK(std::strstr(text, "\"start_utc\":null,\"end_utc\":null"));
  event = PUNCTUM_EVENT_INIT;
  event.start_utc = "2026-05-01T10:00:00.000Z";
  CHECK(punctum_event_to_json(&event, text, sizeof text, &needed, nullptr) == PUNCTUM_OK);
  CHECK(std::strstr(text, "\"start_utc\":\"2026-05-01T10:00:00.000Z\",\"end_utc\":null"));
}

TEST(options_out_of_range) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  punctum_session* made = nullptr;
  const auto create = [&](punctum_error* error, auto change) {
    punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
    change(options);
    return punctum_session_create(plan.get(), &options, &made, error);
  };
  using O = punctum_session_options&;
  WRONG("stream-name", create(error, [](O o) { o.stream = "\xFF"; }));
  WRONG("mode", create(error, [](O o) { o.mode = 2; }));
  WRONG("keep-features", create(error, [](O o) { o.keep_features = -1; }));
  for (const double start : {kNaN, kInf, -kInf}) WRONG("start", create(error, [&](O o) { o.start_s = start; }));
  for (const double start : {1e11, -1e11, 1.7e12, 1e300}) {
    WRONG("time-out-of-range", create(error, [&](O o) { o.start_s = start; }));
  }
  for (const char* id : {"a/b", "a b", "\xC3\xA4", "a\n"}) WRONG("run-id", create(error, [&](O o) { o.run_id = id; }));
  const std::string longer(65, 'x');
  WRONG("run-id", create(error, [&](O o) { o.run_id = longer.c_str(); }));
  for (const double bad : {kNaN, kInf, -1.0}) {
    WRONG("live-options", create(error, [&](O o) { o.max_delay_s = bad; }));
    WRONG("live-options", create(error, [&](O o) { o.tick_s = bad; }));
    WRONG("live-options", create(error, [&](O o) { o.report_score = bad == -1.0 ? -0.5 : bad; }));
    WRONG("live-options", create(error, [&](O o) { o.open_score = bad; }));
  }
  WRONG("live-options", create(error, [](O o) { o.max_delay_s = 1.0, o.tick_s = 2.0; }));
  CHECK(!made);
  const stream::PlanPtr gated = stream::plan(stream::manifest(", \"gate\": \"video\""));
  WRONG("gate-video-live", punctum_session_create(gated.get(), nullptr, &made, error));
}

TEST(values_that_are_not_finite) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  std::vector<float> rows = stream::tracks(1, 10);
  rows[21] = std::numeric_limits<float>::quiet_NaN();
  const stream::SessionPtr a = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  WRONG("tracks-not-finite", punctum_push_tracks(a.get(), rows.data(), 10, error));
  WRONG("time-not-finite", punctum_gap(a.get(), kNaN, error));
  WRONG("time-not-finite", punctum_gap(a.get(), kInf, error));
  WRONG("start", punctum_reset(a.get(), kNaN, error));
  const stream::SessionPtr b = opened(plan.get(), PUNCTUM_MODE_WINDOWS);
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.count = 10;
  WRONG("null", punctum_push(b.get(), &chunk, error));
  chunk.tracks = rows.data();
  WRONG("tracks-unwanted", punctum_push(b.get(), &chunk, error));
  chunk.tracks = nullptr;
  chunk.features = rows.data();
  WRONG("features-not-finite", punctum_push(b.get(), &chunk, error));
  CHECK_SAME(pushed(a.get()) + pushed(b.get()), std::int64_t{0});
}

TEST(values_that_are_no_probabilities) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const stream::SessionPtr a = opened(plan.get(), PUNCTUM_MODE_TRACKS), b = opened(plan.get(), PUNCTUM_MODE_WINDOWS);
  std::vector<float> rows = stream::tracks(3, 200);
  for (const float bad : {1.5f, -0.01f, 3.4e38f, -3.4e38f}) {
    std::vector<float> wrong = rows;
    wrong[21] = bad;
    WRONG("tracks-out-of-range", punctum_push_tracks(a.get(), wrong.data(), 200, error));
  }
  rows[1] = 1.0005f;  // float16 rounds that far
  CHECK(punctum_push_tracks(a.get(), rows.data(), 200, nullptr) == PUNCTUM_OK);
  punctum_want want = PUNCTUM_WANT_INIT;
  CHECK(punctum_next_want(a.get(), &want, nullptr) == PUNCTUM_OK && want.kind == PUNCTUM_WANT_SCORE);
  const std::vector<float> good(want.count * 3, 0.5f);
  for (const float bad : {1.5f, -1.0f, 3.4e38f}) {
    std::vector<float> wrong = good;
    wrong[want.count - 1] = bad;
    WRONG("scores-out-of-range", punctum_answer_score(a.get(), wrong.data(), good.data(), good.data(), want.count, 3, error));
    WRONG("scores-out-of-range", punctum_answer_score(a.get(), good.data(), wrong.data(), good.data(), want.count, 3, error));
    WRONG("scores-out-of-range", punctum_answer_score(a.get(), good.data(), good.data(), wrong.data(), want.count, 3, error));
  }
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.count = 100;
  chunk.features = rows.data();
  CHECK(punctum_push(b.get(), &chunk, nullptr) == PUNCTUM_OK && punctum_next_want(b.get(), &want, nullptr) == PUNCTUM_OK);
  std::vector<float> wrong(want.rows * 4, 0.5f);
  wrong.back() = -2.0f;
  WRONG("tracks-out-of-range", punctum_answer_locate(b.get(), wrong.data(), want.rows, 4, error));
}

TEST(time_that_goes_wrong) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const stream::SessionPtr session = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  const std::vector<float> rows = stream::tracks(1, 50);
  CHECK(punctum_push_tracks(session.get(), rows.data(), 50, nullptr) == PUNCTUM_OK);
  WRONG("time-backwards", punctum_gap(session.get(), 1.0, error));
  for (const double far : {1e11, 9e14, 1e300}) WRONG("time-out-of-range", punctum_gap(session.get(), far, error));
  WRONG("time-out-of-range", punctum_reset(session.get(), -1e11, error));
  CHECK(punctum_gap(session.get(), 5.04, nullptr) == PUNCTUM_OK);  // jitter
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  CHECK(punctum_session_describe(session.get(), &info, nullptr) == PUNCTUM_OK && info.gaps == 0);
}

TEST(calls_out_of_order) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const stream::SessionPtr session = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  punctum_session* s = session.get();
  const std::vector<float> rows = stream::tracks(3, 200), score(2000, 0.5f);
  std::vector<double> edges(20000);
  size_t needed = 0;
  const auto& wrong_order = PUNCTUM_ERROR_STATE;
  REFUSED(wrong_order, "no-want", punctum_answer_locate(s, rows.data(), 200, 4, error));
  REFUSED(wrong_order, "no-want", punctum_answer_score(s, score.data(), score.data(), score.data(), 1, 3, error));
  REFUSED(wrong_order, "no-want", punctum_want_bins(s, 6, edges.data(), edges.size(), error));
  CHECK(punctum_push_tracks(s, rows.data(), 200, nullptr) == PUNCTUM_OK);
  punctum_want want = PUNCTUM_WANT_INIT, again = PUNCTUM_WANT_INIT;
  CHECK(punctum_next_want(s, &want, nullptr) == PUNCTUM_OK && want.kind == PUNCTUM_WANT_SCORE);
  REFUSED(wrong_order, "want-open", punctum_push_tracks(s, rows.data(), 1, error));
  REFUSED(wrong_order, "want-open", punctum_gap(s, 100.0, error));
  REFUSED(wrong_order, "want-open", punctum_flush(s, error));
  REFUSED(wrong_order, "snapshot-busy", punctum_snapshot(s, nullptr, 0, &needed, error));
  REFUSED(wrong_order, "no-want", punctum_answer_locate(s, rows.data(), want.rows, 4, error));
  WRONG("backend-shape", punctum_answer_score(s, score.data(), score.data(), score.data(), want.count + 1, 3, error));
  WRONG("backend-shape", punctum_answer_score(s, score.data(), score.data(), score.data(), want.count, 4, error));
  WRONG("backend-shape", punctum_answer_score(s, score.data(), score.data(), score.data(), kHuge >> 30, 3, error));
  WRONG("size", punctum_answer_score(s, score.data(), score.data(), score.data(), kHuge, 3, error));
  WRONG("null", punctum_answer_score(s, nullptr, score.data(), score.data(), want.count, 3, error));
  WRONG("bins", punctum_want_bins(s, 0, edges.data(), edges.size(), error));
  WRONG("bins", punctum_want_bins(s, 7, edges.data(), edges.size(), error));
  WRONG("bins", punctum_want_bins(s, kHuge / 6 * 6, edges.data(), edges.size(), error));
  WRONG("null", punctum_want_bins(s, 6, nullptr, edges.size(), error));
  std::vector<float> infinite(score);
  infinite[0] = std::numeric_limits<float>::infinity();
  WRONG("scores-not-finite",
        punctum_answer_score(s, score.data(), infinite.data(), score.data(), want.count, 3, error));
  // The want is still the same, and the session goes on as if nothing had happened.
  CHECK(punctum_next_want(s, &again, nullptr) == PUNCTUM_OK);
  CHECK(again.count == want.count && again.segments == want.segments && again.first == want.first);
  std::vector<std::string> said;
  CHECK(stream::serve(s, said) && punctum_flush(s, nullptr) == PUNCTUM_OK && stream::serve(s, said));
  CHECK(!said.empty());
  REFUSED(wrong_order, "session-closed", punctum_push_tracks(s, rows.data(), 1, error));
  REFUSED(wrong_order, "session-closed", punctum_flush(s, error));
  const stream::SessionPtr fresh = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  std::vector<std::string> expected;
  CHECK(punctum_push_tracks(fresh.get(), rows.data(), 200, nullptr) == PUNCTUM_OK);
  CHECK(stream::serve(fresh.get(), expected) && punctum_flush(fresh.get(), nullptr) == PUNCTUM_OK);
  CHECK(stream::serve(fresh.get(), expected) && said == expected);
}

TEST(a_locator_that_answers_wrongly) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const stream::SessionPtr session = opened(plan.get(), PUNCTUM_MODE_WINDOWS);
  punctum_session* s = session.get();
  std::vector<float> rows = stream::tracks(3, 100);
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.count = 100;
  chunk.features = rows.data();
  CHECK(punctum_push(s, &chunk, nullptr) == PUNCTUM_OK);
  punctum_want want = PUNCTUM_WANT_INIT;
  CHECK(punctum_next_want(s, &want, nullptr) == PUNCTUM_OK && want.kind == PUNCTUM_WANT_LOCATE);
  WRONG("null", punctum_answer_locate(s, nullptr, want.rows, 4, error));
  WRONG("backend-shape", punctum_answer_locate(s, rows.data(), want.rows, 5, error));
  WRONG("backend-shape", punctum_answer_locate(s, rows.data(), want.rows + 1, 4, error));
  WRONG("size", punctum_answer_locate(s, rows.data(), kHuge, 4, error));
  rows[0] = std::numeric_limits<float>::quiet_NaN();
  WRONG("tracks-not-finite", punctum_answer_locate(s, rows.data(), want.rows, 4, error));
  rows[0] = 0.0f;
  CHECK(punctum_answer_locate(s, rows.data(), want.rows, 4, nullptr) == PUNCTUM_OK);
}

TEST(the_end_of_one_session_is_not_that_of_another) {
  stream::PlanPtr plan = stream::plan(stream::manifest());
  stream::SessionPtr a = opened(plan.get(), PUNCTUM_MODE_TRACKS), b = opened(plan.get(), PUNCTUM_MODE_TRACKS);
  const std::vector<float> rows = stream::tracks(4, 200);
  CHECK(punctum_push_tracks(a.get(), rows.data(), 200, nullptr) == PUNCTUM_OK);
  CHECK(punctum_push_tracks(b.get(), rows.data(), 200, nullptr) == PUNCTUM_OK);
  punctum_event event = PUNCTUM_EVENT_INIT;
  CHECK(punctum_poll(b.get(), &event, nullptr) == PUNCTUM_OK);
  a.reset();
  plan.reset();
  CHECK(std::string(event.bundle) == "test-1" && std::strlen(event.label) == 1);
  std::vector<std::string> said;
  CHECK(punctum_flush(b.get(), nullptr) == PUNCTUM_OK && stream::serve(b.get(), said) && !said.empty());
}

TEST(buffers_that_are_too_small) {
  punctum_event event = PUNCTUM_EVENT_INIT;
  event.stream = "s\"\\\n\xC3\xA4";
  char text[400];
  size_t needed = 0, same = 0;
  REFUSED(PUNCTUM_ERROR_CAPACITY, "capacity", punctum_event_to_json(&event, text, 3, &needed, error));
  CHECK(punctum_event_to_json(&event, text, needed, &same, nullptr) == PUNCTUM_OK && same == needed);
  CHECK(std::strlen(text) + 1 == needed && std::strstr(text, "s\\\"\\\\\\n\xC3\xA4"));
  WRONG("null", punctum_event_to_json(&event, nullptr, 4000, &needed, error));
  for (const double odd : {kNaN, kInf, -kInf}) {
    event.score = odd;
    CHECK(punctum_event_to_json(&event, text, sizeof text, &needed, nullptr) == PUNCTUM_OK);
    CHECK(std::strstr(text, "\"score\":null"));
  }
  event.label = "\xFF";
  WRONG("text", punctum_event_to_json(&event, text, sizeof text, &needed, error));
}

TEST(snapshots_of_others) {
  const stream::PlanPtr mine = stream::plan(stream::manifest()), other = stream::plan(stream::manifest(", \"sigma\": 0.9"));
  const stream::SessionPtr session = opened(mine.get(), PUNCTUM_MODE_TRACKS);
  size_t needed = 0;
  punctum_snapshot(session.get(), nullptr, 0, &needed, nullptr);
  std::vector<unsigned char> bytes(needed + 1);
  REFUSED(PUNCTUM_ERROR_CAPACITY, "capacity", punctum_snapshot(session.get(), bytes.data(), 10, &needed, error));
  WRONG("null", punctum_snapshot(session.get(), nullptr, 1 << 20, &needed, error));
  CHECK(punctum_snapshot(session.get(), bytes.data(), bytes.size(), &needed, nullptr) == PUNCTUM_OK);
  punctum_session* made = nullptr;
  const auto& damaged = PUNCTUM_ERROR_SNAPSHOT;
  REFUSED(damaged, "snapshot-bundle", punctum_session_restore(other.get(), bytes.data(), needed, &made, error));
  REFUSED(damaged, "snapshot-damaged", punctum_session_restore(mine.get(), bytes.data(), needed + 1, &made, error));
  REFUSED(damaged, "snapshot-damaged", punctum_session_restore(mine.get(), bytes.data(), 0, &made, error));
  WRONG("size", punctum_session_restore(mine.get(), bytes.data(), kHuge, &made, error));
  CHECK(!made);
}

TEST(kernels_refuse) {
  const double good[] = {0, 1, 2, 3}, bad[] = {0, 1, kNaN, 3}, turned[] = {1, 0, 2, 3}, scores[] = {0.5, kInf};
  const float track[] = {0.1f, 0.9f, std::numeric_limits<float>::quiet_NaN()};
  const int64_t offsets[] = {0, 3}, sinking[] = {0, 2, 1, 2}, labels[] = {0, 5};
  double out[64];
  float pooled[64];
  int64_t index[8], more[8];
  size_t count = 0;
  WRONG("null", punctum_segment_iou(good, 2, good, 2, 0.0, nullptr, error));
  WRONG("null", punctum_segment_iou(nullptr, 2, good, 2, 0.0, out, error));
  WRONG("size", punctum_segment_iou(good, kHuge, good, 2, 0.0, out, error));
  WRONG("size", punctum_segment_iou(good, std::size_t{1} << 39, good, std::size_t{1} << 39, 0.0, out, error));
  WRONG("number", punctum_segment_iou(good, 2, good, 2, kNaN, out, error));
  WRONG("not-finite", punctum_segment_iou(bad, 2, good, 2, 0.0, out, error));
  WRONG("segment", punctum_nms(turned, good, 2, 0.5, 0.0, index, &count, error));
  WRONG("null", punctum_nms(good, good, 2, 0.5, 0.0, nullptr, &count, error));
  WRONG("null", punctum_nms(good, good, 2, 0.5, 0.0, index, nullptr, error));
  WRONG("not-finite", punctum_nms(good, scores, 2, 0.5, 0.0, index, &count, error));
  WRONG("number", punctum_nms(good, good, 2, kNaN, 0.0, index, &count, error));
  WRONG("number", punctum_soft_nms(good, good, 2, 0.0, 0.0, 0.0, index, out, &count, error));
  WRONG("number", punctum_soft_nms(good, good, 2, 0.3, kNaN, 0.0, index, out, &count, error));
  WRONG("size", punctum_soft_nms(good, good, kHuge, 0.3, 0.0, 0.0, index, out, &count, error));
  WRONG("null", punctum_soft_nms(good, nullptr, 2, 0.3, 0.0, 0.0, index, out, &count, error));
  WRONG("groups", punctum_suppress_groups(good, good, 2, offsets, 1, 0.3, 0, 0, index, out, more, error));
  WRONG("groups", punctum_suppress_groups(good, good, 2, sinking, 3, 0.3, 0, 0, index, out, more, error));
  WRONG("null", punctum_suppress_groups(good, good, 2, nullptr, 1, 0.3, 0, 0, index, out, more, error));
  WRONG("size", punctum_suppress_groups(good, good, 2, offsets, kHuge, 0.3, 0, 0, index, out, more, error));
  WRONG("number", punctum_adapt_boundaries(good, good, 2, -0.1, out, error));
  WRONG("null", punctum_adapt_boundaries(good, good, 2, 0.4, nullptr, error));
  WRONG("groups", punctum_adapt_groups(good, good, 2, offsets, 1, 0.4, out, error));
  WRONG("not-finite", punctum_find_runs(track, 3, 1, good, 1, out, index, more, 8, &count, error));
  WRONG("null", punctum_find_runs(track, 2, 1, nullptr, 1, out, index, more, 8, &count, error));
  WRONG("null", punctum_find_runs(track, 2, 1, good, 1, nullptr, index, more, 8, &count, error));
  WRONG("size", punctum_find_runs(track, kHuge, 2, good, 1, out, index, more, 8, &count, error));
  WRONG("label", punctum_outer_inner_contrast(track, 2, 1, good, labels, 2, 0.25, 1.0, out, nullptr, error));
  WRONG("label", punctum_outer_inner_contrast(track, 2, 0, good, nullptr, 2, 0.25, 1.0, out, nullptr, error));
  WRONG("number", punctum_outer_inner_contrast(track, 2, 1, good, nullptr, 2, kNaN, 1.0, out, nullptr, error));
  WRONG("bins", punctum_bin_edges(good, 2, 8, 0.25, 1.0, out, error));
  WRONG("number", punctum_bin_edges(good, 2, 6, -1.0, 1.0, out, error));
  WRONG("null", punctum_bin_edges(good, 2, 6, 0.25, 1.0, nullptr, error));
  WRONG("bins", punctum_pool_segments(track, 2, 1, good, 2, 0, 0.25, 1.0, pooled, error));
  WRONG("size", punctum_pool_segments(track, kHuge / 2, 3, good, 2, 6, 0.25, 1.0, pooled, error));
  WRONG("size", punctum_pool_segments(nullptr, 0, std::size_t{1} << 40, good, std::size_t{1} << 39, 6, 0, 1, pooled, error));
  WRONG("null", punctum_pool_segments(track, 2, 1, good, 2, 6, 0.25, 1.0, nullptr, error));
  WRONG("not-finite", punctum_fuse_confidence(good, scores, good, 2, 2, out, error));
  WRONG("null", punctum_fuse_confidence(good, good, good, 2, 2, nullptr, error));
}

CHECK_MAIN
