#include "segments.h"

#include <limits>
#include <numeric>

namespace punctum {

std::vector<Index> argsort(const double* values, Index n, bool descending) {
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  if (descending) {
    std::stable_sort(order.begin(), order.end(), [values](Index a, Index b) { return values[a] > values[b]; });
  } else {
    std::stable_sort(order.begin(), order.end(), [values](Index a, Index b) { return values[a] < values[b]; });
  }
  return order;
}

Sweep sort_sweep(const Segment* segments, Index n) {
  std::vector<double> reach(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) reach[i] = segments[i].start;
  std::vector<Index> order = argsort(reach.data(), n, false);
  double top = -std::numeric_limits<double>::infinity();
  for (Index r = 0; r < n; ++r) {
    top = std::max(top, segments[order[r]].end);
    reach[r] = top;
  }
  return {std::move(order), std::move(reach)};
}

}  // namespace punctum
