// A session's contract: chunks do not matter, breaks do, snapshots go on, refusals change nothing.
#include <algorithm>

#include "check.h"
#include "stream.h"

namespace {

using Lines = std::vector<std::string>;

punctum_session_options options_of(int mode, double max_delay_s) {
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.stream = "s";
  options.mode = mode;
  options.keep_features = mode == PUNCTUM_MODE_WINDOWS;
  options.max_delay_s = max_delay_s;
  return options;
}

punctum_status push(punctum_session* session, const float* rows, std::size_t count, punctum_error* error = nullptr) {
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
  chunk.count = count;
  chunk.tracks = rows;
  const punctum_status status = punctum_push(session, &chunk, error);
  if (status != PUNCTUM_ERROR_ARGUMENT) return status;
  chunk.tracks = nullptr;  // a session that asks for windows takes the same rows as features
  chunk.features = rows;
  punctum_session_describe(session, &info, nullptr);
  return punctum_push(session, &chunk, error);
}

// All that is said of rows pushed in chunks of up to `most`.
Lines run(punctum_session* session, const std::vector<float>& rows, std::size_t most, bool flush = true) {
  Lines said;
  const std::size_t count = rows.size() / stream::kWidth;
  stream::Random random(most);
  for (std::size_t at = 0; at < count;) {
    const std::size_t step = std::min<std::size_t>(1 + random.below(static_cast<std::uint32_t>(most)), count - at);
    CHECK(push(session, rows.data() + at * stream::kWidth, step) == PUNCTUM_OK);
    CHECK(stream::serve(session, said));
    at += step;
  }
  if (flush) {
    CHECK(punctum_flush(session, nullptr) == PUNCTUM_OK);
    CHECK(stream::serve(session, said));
  }
  return said;
}

std::size_t finals(const Lines& said) {
  return static_cast<std::size_t>(std::count_if(said.begin(), said.end(), [](const std::string& line) {
    return line.find("\"phase\":\"final\"") != std::string::npos;
  }));
}

}  // namespace

// Polls, and keeps the ids of reports that are neither final nor retracted yet.
bool take(punctum_session* session, Lines& open, Lines& said) {
  punctum_event event = PUNCTUM_EVENT_INIT;
  while (punctum_poll(session, &event, nullptr) == PUNCTUM_OK) {
    const bool over = event.phase == PUNCTUM_PHASE_FINAL || event.phase == PUNCTUM_PHASE_RETRACTED;
    open.erase(std::remove(open.begin(), open.end(), event.id), open.end());
    if (!over) open.emplace_back(event.id);
    said.emplace_back(event.id);
  }
  return true;
}

TEST(an_engine_that_fails_is_asked_again_and_costs_nothing) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const std::vector<float> rows = stream::tracks(5, 300);
  for (const int mode : {PUNCTUM_MODE_TRACKS, PUNCTUM_MODE_WINDOWS}) {
    const stream::SessionPtr steady = stream::open(plan.get(), options_of(mode, 0.6));
    const Lines expected = run(steady.get(), rows, 20);
    const stream::SessionPtr flaky = stream::open(plan.get(), options_of(mode, 0.6));
    Lines said;
    stream::Random random(20);
    for (std::size_t at = 0; at <= 300;) {
      const std::size_t step = std::min<std::size_t>(1 + random.below(20), 300 - at);
      CHECK((at < 300 ? push(flaky.get(), rows.data() + at * stream::kWidth, step) : punctum_flush(flaky.get(), nullptr)) ==
            PUNCTUM_OK);
      punctum_want want = PUNCTUM_WANT_INIT;
      if (punctum_next_want(flaky.get(), &want, nullptr) == PUNCTUM_OK) {  // the engine gives nonsense, then nothing
        const std::vector<float> nonsense(want.rows * 4 + want.count * 3, 7.0f);
        punctum_error error = {};
        const bool locate = want.kind == PUNCTUM_WANT_LOCATE;
        CHECK((locate ? punctum_answer_locate(flaky.get(), nonsense.data(), want.rows, 4, &error)
                      : punctum_answer_score(flaky.get(), nonsense.data(), nonsense.data(), nonsense.data(), want.count, 3,
                                             &error)) == PUNCTUM_ERROR_ARGUMENT);
        CHECK(stream::poll(flaky.get(), said));
      }
      CHECK(stream::serve(flaky.get(), said));
      at += at < 300 ? step : 1;
    }
    CHECK(said == expected);
  }
}

TEST(a_stream_that_its_engine_leaves_is_abandoned) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const std::vector<float> rows = stream::tracks(5, 300);
  for (std::size_t stop = 20; stop < 300; stop += 35) {
    const stream::SessionPtr session = stream::open(plan.get(), options_of(PUNCTUM_MODE_WINDOWS, 0.6));
    Lines open, said, lines;
    std::size_t at = 0;
    for (; at < stop; at += 5) {
      CHECK(push(session.get(), rows.data() + at * stream::kWidth, 5) == PUNCTUM_OK);
      punctum_want want = PUNCTUM_WANT_INIT;
      while (punctum_next_want(session.get(), &want, nullptr) == PUNCTUM_OK && at + 5 < stop) {
        const std::vector<float> half(want.count * 3, 0.9f);
        CHECK((want.kind == PUNCTUM_WANT_LOCATE
                   ? punctum_answer_locate(session.get(), std::vector<float>(want.features, want.features + want.rows * 4).data(), want.rows, 4, nullptr)
                   : punctum_answer_score(session.get(), half.data(), half.data(), half.data(), want.count, 3, nullptr)) ==
              PUNCTUM_OK);
      }
      take(session.get(), open, said);
    }
    CHECK(punctum_abandon(session.get(), nullptr) == PUNCTUM_OK);
    take(session.get(), open, said);
    CHECK(open.empty());
    CHECK(punctum_abandon(session.get(), nullptr) == PUNCTUM_ERROR_STATE);
    CHECK(push(session.get(), rows.data(), 5) == PUNCTUM_ERROR_STATE);
    CHECK(punctum_reset(session.get(), 0.0, nullptr) == PUNCTUM_OK && push(session.get(), rows.data(), 5) == PUNCTUM_OK);
  }
}

TEST(ids_carry_the_run) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const std::vector<float> rows = stream::tracks(5, 200);
  punctum_session_options options = options_of(PUNCTUM_MODE_TRACKS, 0.6);
  options.run_id = "r-1";
  const stream::SessionPtr session = stream::open(plan.get(), options);
  const Lines first = run(session.get(), rows, 20);
  CHECK(punctum_reset(session.get(), 0.0, nullptr) == PUNCTUM_OK);
  const Lines second = run(session.get(), rows, 20);
  CHECK(!first.empty() && first.size() == second.size());
  for (const std::string& line : first) CHECK(line.find("\"event\":\"s/r-1/") != std::string::npos);
  for (const std::string& line : second) CHECK(line.find("\"event\":\"s/r-1.1/") != std::string::npos);
}

TEST(chunks_do_not_matter) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  for (const int mode : {PUNCTUM_MODE_TRACKS, PUNCTUM_MODE_WINDOWS}) {
    for (const double delay : {0.0, 0.4, 1.0}) {
      const std::vector<float> rows = stream::tracks(5, 400);
      const stream::SessionPtr a = stream::open(plan.get(), options_of(mode, delay));
      const stream::SessionPtr b = stream::open(plan.get(), options_of(mode, delay));
      const stream::SessionPtr c = stream::open(plan.get(), options_of(mode, delay));
      const Lines whole = run(a.get(), rows, 400);
      CHECK(finals(whole) > 20);
      CHECK(whole == run(b.get(), rows, 1));
      CHECK(whole == run(c.get(), rows, 23));
      CHECK(delay > 0.0 || finals(whole) == whole.size());
      CHECK(delay == 0.0 || finals(whole) < whole.size());
    }
  }
}

TEST(reset_is_a_new_session) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const std::vector<float> rows = stream::tracks(6, 300);
  const stream::SessionPtr session = stream::open(plan.get(), options_of(PUNCTUM_MODE_TRACKS, 0.0));
  const Lines first = run(session.get(), rows, 10);
  CHECK(punctum_reset(session.get(), 0.0, nullptr) == PUNCTUM_OK);
  CHECK(run(session.get(), rows, 17) == first);
}

TEST(a_restored_session_goes_on) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const std::vector<float> rows = stream::tracks(8, 300);
  const std::size_t cut = 137 * stream::kWidth;
  const std::vector<float> before(rows.begin(), rows.begin() + cut), after(rows.begin() + cut, rows.end());
  for (const int mode : {PUNCTUM_MODE_TRACKS, PUNCTUM_MODE_WINDOWS}) {
    const stream::SessionPtr whole = stream::open(plan.get(), options_of(mode, 0.5));
    const stream::SessionPtr part = stream::open(plan.get(), options_of(mode, 0.5));
    const Lines expected = run(whole.get(), rows, 9);
    Lines said = run(part.get(), before, 9, false);
    size_t needed = 0;
    CHECK(punctum_snapshot(part.get(), nullptr, 0, &needed, nullptr) == PUNCTUM_ERROR_CAPACITY);
    std::vector<unsigned char> bytes(needed), again(needed);
    CHECK(punctum_snapshot(part.get(), bytes.data(), needed, &needed, nullptr) == PUNCTUM_OK);
    punctum_session* made = nullptr;
    CHECK(punctum_session_restore(plan.get(), bytes.data(), needed, &made, nullptr) == PUNCTUM_OK);
    const stream::SessionPtr restored(made);
    CHECK(punctum_snapshot(made, again.data(), needed, &needed, nullptr) == PUNCTUM_OK);
    CHECK(bytes == again);
    for (const std::string& line : run(made, after, 9)) said.push_back(line);
    CHECK(said == expected);
    // Every byte counts: one that is changed is noticed.
    for (std::size_t i = 0; i < needed; i += 7) {
      bytes[i] ^= 0x10;
      punctum_session* wrong = nullptr;
      CHECK(punctum_session_restore(plan.get(), bytes.data(), needed, &wrong, nullptr) == PUNCTUM_ERROR_SNAPSHOT);
      CHECK(!wrong);
      bytes[i] ^= 0x10;
    }
    for (std::size_t size = 0; size < needed; size += 11) {
      punctum_session* wrong = nullptr;
      CHECK(punctum_session_restore(plan.get(), bytes.data(), size, &wrong, nullptr) == PUNCTUM_ERROR_SNAPSHOT);
    }
  }
}

TEST(a_break_interrupts) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const stream::SessionPtr session = stream::open(plan.get(), options_of(PUNCTUM_MODE_TRACKS, 0.0));
  std::vector<float> rows(40 * stream::kWidth, 0.05f);
  for (std::size_t t = 30; t < 40; ++t) rows[t * stream::kWidth + 1] = 0.9f;
  Lines said = run(session.get(), rows, 40, false);
  CHECK(said.empty());
  CHECK(punctum_gap(session.get(), 10.0, nullptr) == PUNCTUM_OK);
  CHECK(stream::serve(session.get(), said));
  CHECK(!said.empty() && said[0].find("\"interrupted\":true") != std::string::npos);
  CHECK(said[0].find("\"dropped\":60") != std::string::npos);
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  CHECK(punctum_session_describe(session.get(), &info, nullptr) == PUNCTUM_OK);
  CHECK(info.gaps == 1 && info.dropped == 60 && info.pushed == 40);
  CHECK_NEAR(info.now_s, 10.0, 1e-9);
}

TEST(bins_of_a_want) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const stream::SessionPtr session = stream::open(plan.get(), options_of(PUNCTUM_MODE_TRACKS, 0.0));
  const std::vector<float> rows = stream::tracks(3, 200);
  CHECK(push(session.get(), rows.data(), 200) == PUNCTUM_OK);
  punctum_want want = PUNCTUM_WANT_INIT;
  CHECK(punctum_next_want(session.get(), &want, nullptr) == PUNCTUM_OK);
  CHECK(want.kind == PUNCTUM_WANT_SCORE && want.count > 0);
  std::vector<double> edges(want.count * 13), segments(want.segments, want.segments + 2 * want.count), same(edges.size());
  CHECK(punctum_want_bins(session.get(), 12, edges.data(), edges.size() - 1, nullptr) == PUNCTUM_ERROR_CAPACITY);
  CHECK(punctum_want_bins(session.get(), 12, edges.data(), edges.size(), nullptr) == PUNCTUM_OK);
  CHECK(punctum_bin_edges(segments.data(), want.count, 12, 0.25, 5.0, same.data(), nullptr) == PUNCTUM_OK);
  for (std::size_t i = 0; i < edges.size(); ++i) CHECK_NEAR(edges[i], same[i], 1e-12);
}

TEST(memory_stays_flat) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  const stream::SessionPtr session = stream::open(plan.get(), options_of(PUNCTUM_MODE_TRACKS, 0.5));
  const std::vector<float> rows = stream::tracks(1, 500);
  std::size_t largest = 0;
  for (int round = 0; round < 100; ++round) {
    run(session.get(), rows, 30, false);
    punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
    punctum_session_describe(session.get(), &info, nullptr);
    largest = std::max(largest, info.state_bytes);
  }
  CHECK(largest < 64 * 1024);
  std::printf("       %zu bytes at most in 50000 snippets\n", largest);
}

CHECK_MAIN
