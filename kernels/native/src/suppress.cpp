// Hard suppression, and boundary adaptation (ABA). Segments sorted by start with the running maximum of the ends bound
// each segment's neighbors to a window, so the cost follows local overlap.
#include <cmath>
#include <limits>

#include "kernels.h"

namespace punctum {

std::vector<Index> nms(const Segment* segments, const double* scores, Index n, double threshold, double extra) {
  const Sweep sweep = sort_sweep(segments, n);
  std::vector<Index> rank(n), selected;
  for (Index r = 0; r < n; ++r) rank[sweep.order[r]] = r;
  std::vector<char> dropped(n, 0);
  for (const Index i : argsort(scores, n, true)) {
    if (dropped[i]) continue;
    selected.push_back(i);
    Index low = rank[i], high = rank[i] + 1;
    while (low > 0 && sweep.reach[low - 1] + extra > segments[i].start) --low;
    while (high < n && segments[sweep.order[high]].start - extra < segments[i].end) ++high;
    for (Index r = low; r < high; ++r) {
      const Index j = sweep.order[r];
      if (iou_of(segments[i], segments[j], extra) >= threshold) dropped[j] = 1;
    }
  }
  return selected;
}

void adapt_boundaries(const Segment* segments, const double* scores, Index n, double threshold, Segment* out) {
  const Sweep sweep = sort_sweep(segments, n);
  std::vector<Segment> sorted(n);
  std::vector<double> score(n);
  std::vector<Index> rank(n);
  for (Index r = 0; r < n; ++r) {
    const Index i = sweep.order[r];
    sorted[r] = out[i] = segments[i];
    score[r] = scores[i];
    rank[i] = r;
  }
  // IoU > t leaves room for a start at most length (1/t - 1) earlier and length (1 - t) later.
  constexpr double slack = 1.0 + 1e-9;  // above the rounding of IoU
  const double left =
      threshold > 0.0 ? (1.0 / threshold - 1.0) * slack : std::numeric_limits<double>::infinity();
  const double right = (1.0 - threshold) * slack;
  std::vector<char> locked(n, 0);
  for (const Index best : argsort(scores, n, true)) {
    const Index p = rank[best];
    const auto [s, e] = sorted[p];
    if (locked[p] || e <= s) continue;
    Index low = p, high = p + 1;
    while (low > 0 && sweep.reach[low - 1] > s && s - sorted[low - 1].start <= left * (e - s)) --low;
    while (high < n && sorted[high].start - s <= right * (e - s)) ++high;
    double weight = 0.0, near = 0.0, far = 0.0;
    for (Index r = low; r < high; ++r) {
      const double iou = iou_of({s, e}, sorted[r], 0.0);
      if (!(iou > threshold)) continue;
      const double w = iou * score[r];
      weight += w;
      // Offsets from the segment itself: exact on streams that have run for days.
      near += w * (sorted[r].start - s);
      far += w * (sorted[r].end - e);
      locked[r] = 1;
    }
    if (weight > 0.0) {
      near = s + near / weight;
      far = e + far / weight;
      if (near <= far) out[best] = {near, far};  // negative scores can turn a segment inside out
    }
  }
}

}  // namespace punctum
