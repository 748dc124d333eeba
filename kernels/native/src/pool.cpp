// Integral pooling: the exact mean of the features' interpolant over each bin of a widened segment, as a difference of
// its running integral, at a cost that does not grow with the segment.
#include "kernels.h"

namespace punctum {
namespace {

void add_integral(const float* features, const std::vector<double>& total, Index length, Index dim, double x,
                  double sign, double* out) {
  x = std::min(std::max(x, -0.5), static_cast<double>(length) - 0.5);
  if (x <= 0.0) {
    for (Index d = 0; d < dim; ++d) out[d] += sign * (x + 0.5) * static_cast<double>(features[d]);
    return;
  }
  const Index t = std::min(static_cast<Index>(x), length - 1);
  const double f = x - static_cast<double>(t);
  const float* here = features + t * dim;
  const double* sum = total.data() + t * dim;
  if (t == length - 1) {
    for (Index d = 0; d < dim; ++d) out[d] += sign * (sum[d] + f * static_cast<double>(here[d]));
    return;
  }
  const double half = 0.5 * f * f;
  for (Index d = 0; d < dim; ++d) {
    out[d] += sign * (sum[d] + (f - half) * static_cast<double>(here[d]) + half * static_cast<double>(here[dim + d]));
  }
}

}  // namespace

void bin_edges(Segment segment, Index bins, double context, double max_context, double* out) {
  const Index side = bins / 6;
  const double sides = static_cast<double>(side), length = segment.end - segment.start;
  const double wide = std::min(context * length, max_context);
  for (Index k = 0; k < side; ++k) *out++ = (segment.start - wide) + wide * (static_cast<double>(k) / sides);
  for (Index k = 0; k <= 4 * side; ++k) *out++ = segment.start + length * (static_cast<double>(k) / (4.0 * sides));
  for (Index k = 0; k < side; ++k) *out++ = segment.end + wide * (static_cast<double>(k) / sides + 1.0 / sides);
}

void pool_segments(const float* features, Index length, Index dim, const Segment* segments, Index n, Index bins,
                   double context, double max_context, float* out) {
  std::fill(out, out + n * bins * dim, 0.0f);
  if (length == 0 || dim == 0) return;
  std::vector<double> total(static_cast<std::size_t>(length * dim)), edges(bins + 1), sum(dim);
  for (Index d = 0; d < dim; ++d) total[d] = 0.5 * static_cast<double>(features[d]);
  for (Index i = dim; i < length * dim; ++i) {
    total[i] = total[i - dim] + 0.5 * (static_cast<double>(features[i - dim]) + static_cast<double>(features[i]));
  }
  for (Index i = 0; i < n; ++i) {
    bin_edges(segments[i], bins, context, max_context, edges.data());
    for (Index b = 0; b < bins; ++b, out += dim) {
      const double span = edges[b + 1] - edges[b];
      if (!(span > 0.0)) continue;
      std::fill(sum.begin(), sum.end(), 0.0);
      add_integral(features, total, length, dim, edges[b], -1.0, sum.data());
      add_integral(features, total, length, dim, edges[b + 1], 1.0, sum.data());
      for (Index d = 0; d < dim; ++d) out[d] = static_cast<float>(sum[d] / span);
    }
  }
}

}  // namespace punctum
