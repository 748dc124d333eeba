// Segments and their overlap: the types and small functions that every kernel uses.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace punctum {

using Index = std::int64_t;

struct Segment {
  double start;
  double end;
};
static_assert(sizeof(Segment) == 2 * sizeof(double), "rows of the caller's float64 [n, 2]");

// Intersection over union; extra is the published "+1" added to lengths and to the intersection.
inline double iou_of(Segment a, Segment b, double extra) {
  const double inter = std::min(a.end, b.end) - std::max(a.start, b.start) + extra;
  if (inter <= 0.0) return 0.0;
  const double all = (a.end - a.start + extra) + (b.end - b.start + extra) - inter;
  return all > 0.0 ? inter / all : 0.0;
}

// Order of finite values; among equals the earlier one first, in both directions.
std::vector<Index> argsort(const double* values, Index n, bool descending);

// Order by start, and for each rank the largest end among all ranks up to it.
struct Sweep {
  std::vector<Index> order;
  std::vector<double> reach;
};
Sweep sort_sweep(const Segment* segments, Index n);

}  // namespace punctum
