// Gaussian soft-NMS, exact. Segments that form no chain of overlaps do not know of each other, so each such cluster is
// worked off alone, in blocks sorted by start, each with its best score: a pick visits only the blocks that it
// overlaps, and then compares block maxima. The picks of all clusters are put in order by one sort at the end.
#include <cmath>
#include <cstring>
#include <limits>

#include "exp_series.h"
#include "kernels.h"

namespace punctum {
namespace {

constexpr Index kBlock = 64;
constexpr double kDead = -1.0;  // scores are >= 0
constexpr Index kNobody = std::numeric_limits<Index>::max();

inline Index bits_of(double value) {
  Index bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline double float_of(std::uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// exp of x <= 0 without a branch: the same operations as in Python, so the same bits. Adding `round` leaves the integer
// k in the low bits.
inline double decay(double x) {
  constexpr double round = 6755399441055744.0;
  constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  const double safe = x > -708.0 ? x : -708.0;
  const double shifted = safe * 1.4426950408889634 + round;
  const double k = shifted - round;
  const double y = safe - k * ln2_high - k * ln2_low;
  const double power = float_of((static_cast<std::uint64_t>(bits_of(shifted)) + 1023u) << 52);
  return safe > -708.0 ? exp_series(y) * power : 0.0;
}

// One cluster, by columns, so that a pick runs down plain arrays.
struct Cluster {
  std::vector<double> start, end, score;
  std::vector<Index> index;

  void resize(Index n) {
    start.resize(n), end.resize(n), score.resize(n), index.resize(n);
  }
};

struct Block {
  double low, high, reach;  // first start, last end, last end of all blocks up to this one
  double peak;              // best score that is still there
  Index first, last;        // entries
  Index best;               // lowest original index among the entries with that score
  Index place;              // and where it lies
};

void refresh(Cluster& c, Block& block) {
  double peak = kDead;
  for (Index r = block.first; r < block.last; ++r) peak = c.score[r] > peak ? c.score[r] : peak;
  block.peak = peak;
  block.best = kNobody;
  block.place = block.first;
  if (peak < 0.0) return;
  for (Index r = block.first; r < block.last; ++r) {
    if (c.score[r] == peak && c.index[r] < block.best) block.best = c.index[r], block.place = r;
  }
}

void decay_block(Cluster& c, const Block& block, Segment pick, double extra, double scale) {
  const Index n = block.last - block.first;
  const double* start = c.start.data() + block.first;
  const double* end = c.end.data() + block.first;
  double* score = c.score.data() + block.first;
  const double length = pick.end - pick.start + extra;
  for (Index r = 0; r < n; ++r) {
    const double inter = std::max(std::min(pick.end, end[r]) - std::max(pick.start, start[r]) + extra, 0.0);
    const double all = length + (end[r] - start[r] + extra) - inter;
    const double iou = inter / (all > 0.0 ? all : 1.0);
    score[r] *= decay(scale * iou * iou);
  }
}

Index block_size(Index n) {
  const Index root = static_cast<Index>(std::sqrt(static_cast<double>(n)));
  return std::max(kBlock, root);
}

void pick_cluster(Cluster& c, double floor, double extra, double scale, std::vector<Block>& blocks, double* final) {
  const Index n = static_cast<Index>(c.start.size()), size = block_size(n);
  blocks.clear();
  double top = -std::numeric_limits<double>::infinity();
  for (Index a = 0; a < n; a += size) {
    const Index b = std::min(a + size, n);
    Block block{c.start[a], c.end[a], 0.0, 0.0, a, b, 0, 0};
    for (Index r = a; r < b; ++r) block.high = std::max(block.high, c.end[r]);
    top = std::max(top, block.high);
    block.reach = top;
    refresh(c, block);
    blocks.push_back(block);
  }
  const Index count = static_cast<Index>(blocks.size());
  for (Index picked = 0; picked < n; ++picked) {
    Index home = 0;
    for (Index y = 1; y < count; ++y) {
      if (blocks[y].peak > blocks[home].peak ||
          (blocks[y].peak == blocks[home].peak && blocks[y].best < blocks[home].best)) {
        home = y;
      }
    }
    Block& own = blocks[home];
    if (own.peak < 0.0 || own.peak < floor) break;
    const Index p = own.place;
    const Segment pick{c.start[p], c.end[p]};
    final[c.index[p]] = own.peak;
    const Index z = --own.last;  // the last entry takes its place
    c.start[p] = c.start[z], c.end[p] = c.end[z], c.score[p] = c.score[z], c.index[p] = c.index[z];
    Index first = home, last = home;
    while (first > 0 && blocks[first - 1].reach - pick.start + extra > 0.0) --first;
    while (last + 1 < count && pick.end - blocks[last + 1].low + extra > 0.0) ++last;
    for (Index y = first; y <= last; ++y) {
      if (y != home && !(blocks[y].high - pick.start + extra > 0.0)) continue;
      decay_block(c, blocks[y], pick, extra, scale);
      refresh(c, blocks[y]);
    }
  }
}

// By its definition, for negative scores, which decay lets rise towards 0. Quadratic.
Index pick_plainly(const Segment* segments, const double* scores, Index n, double sigma, double floor, double extra,
                   Index* index, double* decayed) {
  std::vector<double> score(scores, scores + n);
  std::vector<char> alive(n, 1);
  for (Index count = 0; count < n; ++count) {
    Index best = -1;
    for (Index i = 0; i < n; ++i) {
      if (alive[i] && (best < 0 || score[i] > score[best])) best = i;
    }
    if (score[best] < floor) return count;
    alive[best] = 0;
    index[count] = best, decayed[count] = score[best];
    for (Index i = 0; i < n; ++i) {
      if (!alive[i]) continue;
      const double iou = iou_of(segments[best], segments[i], extra);
      score[i] *= std::exp(-(iou * iou) / sigma);
    }
  }
  return n;
}

Index pick_group(const Segment* segments, const double* scores, Index m, double sigma, double floor, double extra,
                 Index* index, double* decayed) {
  std::vector<double> start(m);
  for (Index i = 0; i < m; ++i) start[i] = segments[i].start;
  Cluster all, one;
  for (const Index i : argsort(start.data(), m, false)) {
    if (scores[i] < floor) continue;  // scores only fall: what starts below never counts
    all.start.push_back(segments[i].start);
    all.end.push_back(segments[i].end);
    all.score.push_back(scores[i] + 0.0);
    all.index.push_back(i);
  }
  const Index n = static_cast<Index>(all.start.size());
  std::vector<double> final(m, kDead);
  std::vector<Block> blocks;
  for (Index a = 0; a < n;) {
    Index b = a + 1;
    double reach = all.end[a];
    while (b < n && reach - all.start[b] + extra > 0.0) reach = std::max(reach, all.end[b++]);
    if (b == a + 1) {
      final[all.index[a]] = all.score[a];
    } else {
      one.resize(b - a);
      std::copy(all.start.begin() + a, all.start.begin() + b, one.start.begin());
      std::copy(all.end.begin() + a, all.end.begin() + b, one.end.begin());
      std::copy(all.score.begin() + a, all.score.begin() + b, one.score.begin());
      std::copy(all.index.begin() + a, all.index.begin() + b, one.index.begin());
      pick_cluster(one, floor, extra, -1.0 / sigma, blocks, final.data());
    }
    a = b;
  }
  // Within a cluster picks fall by (score, then index), so sorting by that is the order of picking over all.
  std::vector<Index> who;
  std::vector<double> value;
  for (Index i = 0; i < m; ++i) {
    if (final[i] >= 0.0) who.push_back(i), value.push_back(final[i]);
  }
  const Index count = static_cast<Index>(who.size());
  const std::vector<Index> order = argsort(value.data(), count, true);
  for (Index r = 0; r < count; ++r) index[r] = who[order[r]], decayed[r] = value[order[r]];
  return count;
}

}  // namespace

Index soft_nms(const Segment* segments, const double* scores, Index n, double sigma, double floor, double extra,
               Index* index, double* decayed) {
  if (n == 0) return 0;
  const double lowest = *std::min_element(scores, scores + n);
  if (floor < 0.0 && lowest < 0.0) return pick_plainly(segments, scores, n, sigma, floor, extra, index, decayed);
  return pick_group(segments, scores, n, sigma, std::max(floor, 0.0), extra, index, decayed);
}

}  // namespace punctum
