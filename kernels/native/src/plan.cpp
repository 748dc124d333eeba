#include "plan.h"

#include <algorithm>
#include <cmath>

namespace punctum {

PostProcess PostProcess::simplified() const {
  PostProcess post = *this;
  post.class_thresholds.clear();
  for (std::size_t k = 0; k < class_thresholds.size(); k += 3) post.class_thresholds.push_back(class_thresholds[k]);
  post.actionness_thresholds.clear();
  post.max_proposals = std::max<Index>(max_proposals / 4, 1);
  post.fusion.class_probability = post.fusion.attention = post.fusion.center = 0.0;
  if (post.fusion.contrast == 0.0 && post.fusion.base == 0.0) post.fusion.contrast = 1.0;
  return post;
}

// The operations and their order are those of the Python package, so the results are the same bits.
double ScoreMap::operator()(double value) const {
  const auto k = static_cast<std::size_t>(std::upper_bound(raw.begin(), raw.end(), value) - raw.begin());
  if (k == 0) return score.front();
  if (k == raw.size()) return score.back();
  return score[k - 1] + (score[k] - score[k - 1]) / (raw[k] - raw[k - 1]) * (value - raw[k - 1]);
}

double Plan::calibrated_score(Index label, double raw, bool degraded) const {
  if (!calibrated()) return raw;
  const auto& maps = degraded && !reduced_calibration.empty() ? reduced_calibration : calibration;
  return maps[static_cast<std::size_t>(label)](raw);
}

Index Plan::context() const { return static_cast<Index>(std::ceil(post.right_context_s / stride_s)) + 1; }

double Plan::look_ahead_s() const {
  return static_cast<double>(right + context()) * stride_s + overhang_s;
}

}  // namespace punctum
