// ABA and soft-NMS of one group by a team of threads: a warp, a block, or, in the tests, threads of the host.
//
// Nothing is sorted. Each round is one pass over the members, which applies the pick and finds the next, and one
// combination over the team. Member j belongs to the thread of rank j mod size: it alone touches score and lock of j,
// so a round needs no other barrier than the one inside the combination.
//
// Built without contraction of a * b + c: decisions and decayed scores have the bits of the CPU kernels.
#pragma once

#include <cstdint>

#include "../../src/exp_series.h"

#ifdef __CUDACC__
#define PUNCTUM_DEVICE __device__ __forceinline__
#else
#include <cstring>
#define PUNCTUM_DEVICE inline
#endif

namespace punctum::cuda {

PUNCTUM_DEVICE double smaller(double a, double b) { return b < a ? b : a; }
PUNCTUM_DEVICE double larger(double a, double b) { return a < b ? b : a; }

PUNCTUM_DEVICE double power_of_two(double shifted) {
#ifdef __CUDACC__
  return __longlong_as_double((__double_as_longlong(shifted) + 1023) << 52);
#else
  std::uint64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023u) << 52;
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

// Length of the intersection plus `extra`; below 0 by the gap where there is none.
PUNCTUM_DEVICE double shared_length(double s0, double e0, double s1, double e1, double extra) {
  return smaller(e0, e1) - larger(s0, s1) + extra;
}

PUNCTUM_DEVICE double iou_of(double s0, double e0, double s1, double e1, double extra) {
  const double inter = shared_length(s0, e0, s1, e1, extra);
  if (inter <= 0.0) return 0.0;
  const double all = (e0 - s0 + extra) + (e1 - s1 + extra) - inter;
  return all > 0.0 ? inter / all : 0.0;
}

// exp of x <= 0, as in soft.cpp.
PUNCTUM_DEVICE double decay(double x) {
  constexpr double round = 6755399441055744.0;
  constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  if (!(x > -708.0)) return 0.0;
  const double shifted = x * 1.4426950408889634 + round;
  const double k = shifted - round;
  const double y = x - k * ln2_high - k * ln2_low;
  return exp_series(y) * power_of_two(shifted);
}

// The best member so far: highest score, then lowest index; -1 is nobody.
struct Candidate {
  double score;
  int index;
};
PUNCTUM_DEVICE bool beats(Candidate a, Candidate b) {
  return a.index >= 0 && (b.index < 0 || a.score > b.score || (a.score == b.score && a.index < b.index));
}

// What the neighbors of a pick add up to.
struct Pull {
  double weight, start, end;
};

// Members of one group, in shared or global memory.
struct Members {
  double* start;
  double* end;
  double* score;
  signed char* locked;
};

template <class Team>
PUNCTUM_DEVICE void load(Team& team, const Members& m, int n, const double* segments, const double* scores) {
  for (int j = team.rank(); j < n; j += team.size()) {
    m.start[j] = segments[2 * static_cast<std::int64_t>(j)];
    m.end[j] = segments[2 * static_cast<std::int64_t>(j) + 1];
    m.score[j] = scores[j] + 0.0;  // makes 0.0 of -0.0
  }
}

// out: segments of the group, adapted.
template <class Team>
PUNCTUM_DEVICE void adapt_group(Team& team, const Members& m, int n, double threshold, const double* segments,
                                const double* scores, double* out) {
  load(team, m, n, segments, scores);
  Candidate next{0.0, -1};
  for (int j = team.rank(); j < n; j += team.size()) {
    m.locked[j] = !(m.end[j] > m.start[j]);  // a segment without length moves nothing and is moved by nothing
    out[2 * static_cast<std::int64_t>(j)] = m.start[j];
    out[2 * static_cast<std::int64_t>(j) + 1] = m.end[j];
    if (!m.locked[j] && beats({m.score[j], j}, next)) next = {m.score[j], j};
  }
  Pull pull{0.0, 0.0, 0.0};
  team.combine(next, pull);
  for (int round = 0; round < n && next.index >= 0; ++round) {
    const int p = next.index;
    const double s = m.start[p], e = m.end[p];
    next = {0.0, -1};
    pull = {0.0, 0.0, 0.0};
    for (int j = team.rank(); j < n; j += team.size()) {
      const double iou = iou_of(s, e, m.start[j], m.end[j], 0.0);
      if (iou > threshold) {
        const double w = iou * m.score[j];
        pull.weight += w;
        // Offsets from the segment itself: exact on streams that have run for days.
        pull.start += w * (m.start[j] - s);
        pull.end += w * (m.end[j] - e);
        m.locked[j] = 1;
      }
      if (j == p) m.locked[j] = 1;
      if (!m.locked[j] && beats({m.score[j], j}, next)) next = {m.score[j], j};
    }
    team.combine(next, pull);
    if (team.rank() == 0 && pull.weight > 0.0) {
      const double start = s + pull.start / pull.weight, end = e + pull.end / pull.weight;
      if (start <= end) {  // negative scores can turn a segment inside out
        out[2 * static_cast<std::int64_t>(p)] = start;
        out[2 * static_cast<std::int64_t>(p) + 1] = end;
      }
    }
  }
}

// index, decayed: of the picks, counted within the group. Returns how many. A score of NaN marks who is out.
template <class Team>
PUNCTUM_DEVICE int pick_group(Team& team, const Members& m, int n, double scale, double floor, double extra,
                              const double* segments, const double* scores, std::int64_t* index, double* decayed) {
  const double out = __builtin_nan("");
  load(team, m, n, segments, scores);
  Candidate next{0.0, -1};
  for (int j = team.rank(); j < n; j += team.size()) {
    if (floor >= 0.0 && m.score[j] < floor) {
      m.score[j] = out;  // scores only fall: what starts below never counts
    } else if (beats({m.score[j], j}, next)) {
      next = {m.score[j], j};
    }
  }
  team.combine(next);
  int count = 0;
  while (count < n && next.index >= 0 && !(next.score < floor)) {
    const int p = next.index;
    if (team.rank() == 0) index[count] = p, decayed[count] = next.score;
    ++count;
    const double s = m.start[p], e = m.end[p], length = e - s + extra;
    next = {0.0, -1};
    for (int j = team.rank(); j < n; j += team.size()) {
      double score = m.score[j];
      if (j == p) m.score[j] = score = out;
      if (score != score) continue;
      const double inter = shared_length(s, e, m.start[j], m.end[j], extra);
      if (inter > 0.0) {
        const double all = length + (m.end[j] - m.start[j] + extra) - inter;
        const double iou = inter / (all > 0.0 ? all : 1.0);
        m.score[j] = score = score * decay(scale * iou * iou);
      }
      if (beats({score, j}, next)) next = {score, j};
    }
    team.combine(next);
  }
  return count;
}

}  // namespace punctum::cuda
