// Random batches of groups, the same on every machine, and the library's CPU kernels on them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "punctum.h"

struct Batch {
  std::string name;
  std::vector<double> segments, scores;
  std::vector<std::int64_t> offsets{0};
  std::size_t largest = 0;

  std::size_t n() const { return scores.size(); }
  std::size_t groups() const { return offsets.size() - 1; }
};

struct Shape {
  const char* name;
  std::size_t groups, smallest, largest;  // members of a group, drawn evenly
  double spread;                          // seconds over which a group lies, for each member
  double grid;                            // times and scores are multiples of it, so that many are equal; 0: free
  double low;                             // the lowest score
  double shift;                           // of all times: a stream that has run for days
};

inline Batch draw(const Shape& shape, std::uint64_t seed) {
  // Numbers straight from the generator: what std::uniform_real_distribution does is up to the library.
  std::mt19937_64 generator(seed);
  const auto uniform = [&] { return static_cast<double>(generator() >> 11) * 0x1p-53; };
  const auto snapped = [&](double value) {
    return shape.grid > 0.0 ? static_cast<double>(static_cast<std::int64_t>(value / shape.grid)) * shape.grid : value;
  };
  Batch batch;
  batch.name = shape.name;
  for (std::size_t g = 0; g < shape.groups; ++g) {
    const std::size_t n = shape.smallest + generator() % (shape.largest - shape.smallest + 1);
    for (std::size_t i = 0; i < n; ++i) {
      const double start = shape.shift + snapped(uniform() * shape.spread * static_cast<double>(n));
      const double length = snapped(uniform() * 8.0);  // with a grid some have none
      batch.segments.push_back(start);
      batch.segments.push_back(start + length);
      batch.scores.push_back(snapped(shape.low + uniform() * (1.0 - shape.low)));
    }
    batch.offsets.push_back(static_cast<std::int64_t>(batch.n()));
    batch.largest = std::max(batch.largest, n);
  }
  return batch;
}

struct Picks {
  std::vector<std::int64_t> index, offsets;
  std::vector<double> decayed;
};

inline void need(punctum_status status, const punctum_error& error) {
  if (status == PUNCTUM_OK) return;
  std::fprintf(stderr, "%s: %s\n", error.code, error.message);
  std::exit(1);
}

inline std::vector<double> adapted_by_cpu(const Batch& b, double threshold) {
  std::vector<double> out(b.segments.size());
  punctum_error error{};
  need(punctum_adapt_groups(b.segments.data(), b.scores.data(), b.n(), b.offsets.data(), b.groups(), threshold,
                            out.data(), &error),
       error);
  return out;
}

inline Picks picked_by_cpu(const Batch& b, double sigma, double floor, double extra) {
  Picks out{std::vector<std::int64_t>(b.n()), std::vector<std::int64_t>(b.groups() + 1), std::vector<double>(b.n())};
  punctum_error error{};
  need(punctum_suppress_groups(b.segments.data(), b.scores.data(), b.n(), b.offsets.data(), b.groups(), sigma, floor,
                               extra, out.index.data(), out.decayed.data(), out.offsets.data(), &error),
       error);
  return out;
}
