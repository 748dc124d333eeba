#include "post.h"

#include <cmath>
#include <cstdio>

#include "failure.h"

namespace punctum {
namespace {

constexpr double kShortest = 1e-6;  // snippets; what is shorter has no inside to average
constexpr double kRounding = 1e-3;  // by which a probability may leave 0..1: one step of float16 above 1

// The best `most` by contrast, in their old order.
void keep_best(Proposals& proposals, Index most) {
  std::vector<Index> best = argsort(proposals.contrast.data(), proposals.size(), true);
  best.resize(static_cast<std::size_t>(most));
  std::sort(best.begin(), best.end());
  Proposals selected;
  for (const Index i : best) {
    selected.segments.push_back(proposals.segments[i]);
    selected.contrast.push_back(proposals.contrast[i]);
    selected.base.push_back(proposals.base[i]);
  }
  proposals = std::move(selected);
}

}  // namespace

void check_range(const float* values, Index count, const std::string& what, const std::string& who) {
  for (Index i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) {
      refuse((what + "-not-finite").c_str(), who + " NaN or infinity", "finite " + what,
             "check the features and the bundle");
    }
  }
  for (Index i = 0; i < count; ++i) {
    const double value = values[i];
    if (value >= -kRounding && value <= 1.0 + kRounding) continue;
    char given[32];
    std::snprintf(given, sizeof given, " %g", value);
    refuse((what + "-out-of-range").c_str(), who + given, "probabilities, 0..1",
           "check the graph's output layer");
  }
}

Proposals propose(const float* tracks, Index length, Index classes, Index label, Segment bounds,
                  const PostProcess& post, double stride_s) {
  const Column track{tracks + label, classes + 1, length}, actionness{tracks + classes, classes + 1, length};
  std::vector<Segment> runs;
  for (const double level : post.class_thresholds) find_runs(track, level, runs);
  for (const double level : post.actionness_thresholds) find_runs(actionness, level, runs);
  Proposals proposals;
  for (const Segment& run : runs) {
    const Segment clipped{std::min(std::max(run.start, bounds.start), bounds.end),
                          std::min(std::max(run.end, bounds.start), bounds.end)};
    if (clipped.end - clipped.start > kShortest) proposals.segments.push_back(clipped);
  }
  const double margin = post.right_context_s / stride_s;
  const Integral integral(track);
  for (const Segment& segment : proposals.segments) {
    const Contrast contrast = contrast_of(integral, segment, post.contrast_margin, margin);
    proposals.contrast.push_back(contrast.inside - contrast.outside);
    proposals.base.push_back(contrast.inside);
  }
  if (proposals.size() > post.max_proposals) keep_best(proposals, post.max_proposals);
  return proposals;
}

std::vector<double> fuse(const Proposals& proposals, Index label, Index classes, const Head& head,
                         const PostProcess& post) {
  const Fusion& weights = post.fusion;
  std::vector<double> scores(proposals.segments.size(), 1.0);
  const auto term = [&scores](Index i, double value, double weight) {
    if (weight > 0.0) scores[i] *= weight == 1.0 ? std::max(value, 0.0) : std::pow(std::max(value, 0.0), weight);
  };
  for (Index i = 0; i < proposals.size(); ++i) {
    term(i, proposals.contrast[i], weights.contrast);
    term(i, proposals.base[i], weights.base);
    if (weights.class_probability > 0.0) {
      term(i, head.class_probability[i * classes + label], weights.class_probability);
    }
    if (weights.attention > 0.0) term(i, head.attention[i], weights.attention);
    if (weights.center > 0.0) term(i, head.center[i], weights.center);
    if (!std::isfinite(scores[i])) {
      refuse("scores-not-finite", "the graphs returned NaN or infinity", "finite scores",
             "check the features and the bundle's parity record");
    }
  }
  return scores;
}

Scored suppress(const Proposals& proposals, const std::vector<double>& scores, const PostProcess& post) {
  const Index n = proposals.size();
  std::vector<Segment> segments = proposals.segments;
  if (post.adapt) adapt_boundaries(proposals.segments.data(), scores.data(), n, post.adapt_iou, segments.data());
  std::vector<Index> selected(n);
  Scored result;
  if (post.suppression == Suppression::soft) {
    result.scores.resize(n);
    const Index count = soft_nms(segments.data(), scores.data(), n, post.sigma, post.min_score, 0.0, selected.data(),
                                 result.scores.data());
    selected.resize(count);
    result.scores.resize(count);
  } else {
    selected = post.suppression == Suppression::hard ? nms(segments.data(), scores.data(), n, post.nms_iou, 0.0)
                                                 : argsort(scores.data(), n, true);
    selected.erase(std::remove_if(selected.begin(), selected.end(), [&](Index i) { return !(scores[i] >= post.min_score); }),
               selected.end());
    for (const Index i : selected) result.scores.push_back(scores[i]);
  }
  for (const Index i : selected) result.segments.push_back(segments[i]);
  return result;
}

}  // namespace punctum
