// Many sessions at once on one plan, one session from several threads, and plans freed early. For ThreadSanitizer.
#include <atomic>
#include <thread>

#include "check.h"
#include "stream.h"

namespace {

punctum_session_options live(int mode) {
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.mode = mode;
  options.keep_features = mode == PUNCTUM_MODE_WINDOWS;
  options.max_delay_s = 0.6;
  return options;
}

std::vector<std::string> whole(const punctum_plan* plan, int mode, std::uint64_t seed) {
  const stream::SessionPtr session = stream::open(plan, live(mode));
  const std::vector<float> rows = stream::tracks(seed, 300);
  std::vector<std::string> said;
  for (std::size_t at = 0; at < 300; at += 20) {
    punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
    chunk.count = 20;
    (mode == PUNCTUM_MODE_TRACKS ? chunk.tracks : chunk.features) = rows.data() + at * stream::kWidth;
    if (punctum_push(session.get(), &chunk, nullptr) != PUNCTUM_OK || !stream::serve(session.get(), said)) return {};
  }
  if (punctum_flush(session.get(), nullptr) != PUNCTUM_OK || !stream::serve(session.get(), said)) return {};
  return said;
}

}  // namespace

TEST(many_sessions_at_once_say_what_each_says_alone) {
  const stream::PlanPtr plan = stream::plan(stream::manifest(stream::with_head()));
  constexpr int kMany = 16;
  std::vector<std::vector<std::string>> alone, together(kMany);
  for (int i = 0; i < kMany; ++i) alone.push_back(whole(plan.get(), i % 2, static_cast<std::uint64_t>(i)));
  std::vector<std::thread> threads;
  for (int i = 0; i < kMany; ++i) {
    threads.emplace_back([&, i] { together[i] = whole(plan.get(), i % 2, static_cast<std::uint64_t>(i)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kMany; ++i) CHECK(!alone[i].empty() && alone[i] == together[i]);
}

TEST(one_session_from_many_threads) {
  const stream::PlanPtr plan = stream::plan(stream::manifest());
  const stream::SessionPtr session = stream::open(plan.get(), live(PUNCTUM_MODE_TRACKS));
  const std::vector<float> rows = stream::tracks(2, 50);
  std::atomic<std::int64_t> pushed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        punctum_event event = PUNCTUM_EVENT_INIT;
        punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
        if (punctum_push_tracks(session.get(), rows.data(), 50, nullptr) == PUNCTUM_OK) pushed += 50;
        punctum_poll(session.get(), &event, nullptr);
        punctum_session_describe(session.get(), &info, nullptr);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
  CHECK(punctum_session_describe(session.get(), &info, nullptr) == PUNCTUM_OK);
  CHECK_SAME(info.pushed, pushed.load());
  CHECK_SAME(info.pushed, std::int64_t{4000});
}

TEST(plans_may_go_before_their_sessions) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 10; ++round) {
        stream::PlanPtr plan = stream::plan(stream::manifest());
        const stream::SessionPtr a = stream::open(plan.get(), live(PUNCTUM_MODE_TRACKS));
        stream::SessionPtr b = stream::open(plan.get(), live(PUNCTUM_MODE_TRACKS));
        plan.reset();
        b.reset();
        const std::vector<float> rows = stream::tracks(9, 60);
        CHECK(punctum_push_tracks(a.get(), rows.data(), 60, nullptr) == PUNCTUM_OK);
        CHECK(punctum_flush(a.get(), nullptr) == PUNCTUM_OK);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

CHECK_MAIN
