// The algorithms of the kernels, run by teams of host threads and compared with the CPU kernels. Needs no CUDA at all.
#include <condition_variable>
#include <cmath>
#include <cstring>
#include <mutex>
#include <thread>

#include "batches.h"
#include "groups.h"

namespace {

using punctum::cuda::Candidate;
using punctum::cuda::Members;
using punctum::cuda::Pull;

int failures = 0;

void check(bool fine, const std::string& what) {
  if (fine) return;
  ++failures;
  std::printf("failed: %s\n", what.c_str());
}

// A team of threads as a block is one: parts in one of two places by turns, one barrier a round.
struct Meeting {
  explicit Meeting(int count) : size(count) {
    const auto places = static_cast<std::size_t>(count);
    for (int turn = 0; turn < 2; ++turn) best[turn].resize(places), pull[turn].resize(places);
  }

  void wait() {
    std::unique_lock<std::mutex> held(lock);
    const long turn = turns;
    if (++waiting == size) {
      waiting = 0, ++turns;
      all.notify_all();
    } else {
      all.wait(held, [&] { return turns != turn; });
    }
  }

  int size, waiting = 0;
  long turns = 0;
  std::vector<Candidate> best[2];
  std::vector<Pull> pull[2];
  std::mutex lock;
  std::condition_variable all;
};

struct Threads {
  Meeting& meeting;
  int number;
  int turn = 0;

  int rank() const { return number; }
  int size() const { return meeting.size; }
  void combine(Candidate& best) {
    Pull none{0.0, 0.0, 0.0};
    combine(best, none);
  }
  void combine(Candidate& best, Pull& pull) {
    const auto at = static_cast<std::size_t>(number);
    meeting.best[turn][at] = best, meeting.pull[turn][at] = pull;
    meeting.wait();
    best = {0.0, -1}, pull = {0.0, 0.0, 0.0};
    for (std::size_t k = 0; k < static_cast<std::size_t>(meeting.size); ++k) {
      if (beats(meeting.best[turn][k], best)) best = meeting.best[turn][k];
      pull.weight += meeting.pull[turn][k].weight;
      pull.start += meeting.pull[turn][k].start;
      pull.end += meeting.pull[turn][k].end;
    }
    turn ^= 1;
  }
};

template <class Work>
void by_team(int size, Work work) {
  Meeting meeting(size);
  std::vector<std::thread> threads;
  for (int k = 0; k < size; ++k) {
    threads.emplace_back([&, k] {
      Threads team{meeting, k};
      work(team);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Room {
  explicit Room(std::size_t n) : values(3 * n), locked(n), size(n) {}
  Members at(std::size_t first) {
    double* start = values.data() + first;
    return {start, start + size, start + 2 * size, locked.data() + first};
  }
  std::vector<double> values;
  std::vector<signed char> locked;
  std::size_t size;
};

std::size_t first_of(const Batch& b, std::size_t g) { return static_cast<std::size_t>(b.offsets[g]); }
int size_of(const Batch& b, std::size_t g) { return static_cast<int>(b.offsets[g + 1] - b.offsets[g]); }

void compare_adapted(const Batch& b, int threads, double threshold) {
  Room room(b.n());
  std::vector<double> out(b.segments.size());
  by_team(threads, [&](Threads& team) {
    for (std::size_t g = 0; g < b.groups(); ++g) {
      const std::size_t a = first_of(b, g);
      adapt_group(team, room.at(a), size_of(b, g), threshold, b.segments.data() + 2 * a, b.scores.data() + a,
                  out.data() + 2 * a);
    }
  });
  const std::vector<double> want = adapted_by_cpu(b, threshold);
  std::size_t off = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    off += !(std::fabs(out[i] - want[i]) <= 1e-13 + 4e-16 * std::fabs(want[i]));
  }
  check(off == 0, b.name + ", " + std::to_string(threads) + " threads: " + std::to_string(off) + " ends differ");
}

void compare_picked(const Batch& b, int threads, double sigma, double floor, double extra, bool exactly) {
  Room room(b.n());
  std::vector<std::int64_t> index(b.n());
  std::vector<double> decayed(b.n());
  std::vector<int> counts(b.groups());
  by_team(threads, [&](Threads& team) {
    for (std::size_t g = 0; g < b.groups(); ++g) {
      const std::size_t a = first_of(b, g);
      const int count = pick_group(team, room.at(a), size_of(b, g), -1.0 / sigma, floor, extra,
                                   b.segments.data() + 2 * a, b.scores.data() + a, index.data() + a,
                                   decayed.data() + a);
      if (team.rank() == 0) counts[g] = count;
    }
  });
  const Picks want = picked_by_cpu(b, sigma, floor, extra);
  const std::string name = b.name + ", " + std::to_string(threads) + " threads";
  for (std::size_t g = 0; g < b.groups(); ++g) {
    const auto to = static_cast<std::size_t>(want.offsets[g]);
    if (counts[g] != want.offsets[g + 1] - want.offsets[g]) return check(false, name + ": counts differ");
    for (std::size_t j = 0; j < static_cast<std::size_t>(counts[g]); ++j) {
      const double mine = decayed[first_of(b, g) + j], other = want.decayed[to + j];
      const bool same = index[first_of(b, g) + j] + b.offsets[g] == want.index[to + j];
      const bool close = exactly ? std::memcmp(&mine, &other, sizeof mine) == 0 : std::fabs(mine - other) < 1e-12;
      if (!same || !close) return check(false, name + ": pick " + std::to_string(j) + " differs");
    }
  }
}

void algorithms() {
  const Shape shapes[] = {
      {"small", 60, 0, 24, 1.0, 0.0, 0.0, 0.0},      {"crowded", 6, 100, 150, 0.02, 0.0, 0.0, 0.0},
      {"ties", 40, 1, 40, 0.5, 0.25, 0.0, 0.0},      {"sparse", 4, 90, 100, 6.0, 0.0, 0.0, 0.0},
      {"for days", 20, 5, 30, 0.5, 0.0, 0.0, 864e3}, {"negative", 20, 5, 30, 0.5, 0.0, -0.5, 0.0}};
  std::uint64_t seed = 7;
  for (const Shape& shape : shapes) {
    const Batch b = draw(shape, ++seed);
    for (const int threads : {1, 3}) {
      if (shape.low >= 0.0) {
        for (const double threshold : {0.0, 0.4}) compare_adapted(b, threads, threshold);
      }
      compare_picked(b, threads, 0.3, 0.0, 0.0, true);
      compare_picked(b, threads, 0.5, 0.05, 1.0, true);
      compare_picked(b, threads, 0.3, -1.0, 0.0, shape.low >= 0.0);
    }
  }
}

}  // namespace

int main() {
  algorithms();
  std::printf(failures ? "%d failures\n" : "fine\n", failures);
  return failures ? 1 : 0;
}
