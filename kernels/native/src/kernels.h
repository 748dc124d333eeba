// The kernels, on checked input. Each is the twin of the function of its name in punctum.kernels, operation for
// operation: built without contraction of a * b + c, results are the same to the last bit but for pow.
#pragma once

#include <vector>

#include "segments.h"

namespace punctum {

// Greedy suppression: indices of the survivors, best first.
std::vector<Index> nms(const Segment* segments, const double* scores, Index n, double threshold, double extra);

// Gaussian soft-NMS: index and decayed hold n entries; returns how many were picked.
Index soft_nms(const Segment* segments, const double* scores, Index n, double sigma, double floor, double extra,
               Index* index, double* decayed);

// ABA: out [n].
void adapt_boundaries(const Segment* segments, const double* scores, Index n, double threshold, Segment* out);

// A column of a row-major float32 array.
struct Column {
  const float* first = nullptr;
  Index step = 1;
  Index size = 0;
  float operator[](Index i) const { return first[i * step]; }
};

// Runs of one column above one level, appended to `runs`.
void find_runs(Column track, double level, std::vector<Segment>& runs);

// Exact integrals of a column's interpolant.
class Integral {
 public:
  explicit Integral(Column track);
  double to(double x) const;        // from -0.5 to x
  double value(double x) const;     // the interpolant, flat beyond the first and last center
  Index size() const { return track_.size; }

 private:
  Column track_;
  std::vector<double> total_;
};

struct Contrast {
  double inside;   // mean inside
  double outside;  // mean in the margins, 0 where there is no room for any
};
Contrast contrast_of(const Integral& track, Segment segment, double margin, double max_margin);

// Borders of the bins of pooling: out [bins + 1].
void bin_edges(Segment segment, Index bins, double context, double max_context, double* out);

// out float32 [n, bins, dim].
void pool_segments(const float* features, Index length, Index dim, const Segment* segments, Index n, Index bins,
                   double context, double max_context, float* out);

}  // namespace punctum
