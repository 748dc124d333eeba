// What a session needs to know about a bundle.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels.h"

namespace punctum {

// Exponents of the fused score; 0 leaves a term out.
struct Fusion {
  double class_probability = 0.0, attention = 0.0, center = 0.0, contrast = 1.0, base = 0.0;
  bool needs_head() const { return class_probability > 0 || attention > 0 || center > 0; }
};

enum class Suppression { soft, hard, none };

// From tracks to events. Lengths in seconds; thresholds on tracks in 0..1. Defaults are those of the Python model.
struct PostProcess {
  std::vector<double> class_thresholds = {0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45,
                                          0.5,  0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9};
  std::vector<double> actionness_thresholds;
  double contrast_margin = 0.25, context = 0.25, right_context_s = 2.0, max_island_s = 20.0;
  Fusion fusion;
  bool adapt = true;
  double adapt_iou = 0.4;
  Suppression suppression = Suppression::soft;
  double sigma = 0.3, nms_iou = 0.7, min_score = 0.001;
  Index max_proposals = 500;
  bool video_gate = false;  // the published whole-video class gate, which a stream refuses

  // Reduced scoring of an overloaded session: every third threshold, few proposals, no center scorer.
  PostProcess simplified() const;
};

// From the raw score of an event to the probability that its action happened: linear between knots, rising strictly.
struct ScoreMap {
  std::vector<double> raw, score;
  double operator()(double value) const;
};

struct Plan {
  std::vector<std::string> labels;
  std::string bundle;
  Index dim = 0;
  double stride_s = 0.0;
  Index left = 0, right = 0;  // receptive field of the locator, in snippets
  double overhang_s = 0.0;    // media beyond a snippet's end that its features need
  bool has_center = false;
  PostProcess post;
  // A map per class, for full and for reduced scoring. Empty: scores are raw, or the maps of full scoring are used.
  std::vector<ScoreMap> calibration, reduced_calibration;

  bool calibrated() const { return !calibration.empty(); }
  // The score of an event, from its raw score.
  double calibrated_score(Index label, double raw, bool degraded) const;
  Index classes() const { return static_cast<Index>(labels.size()); }
  // Snippets beyond an island that its scoring may read, on either side (one more for interpolation).
  Index context() const;
  double look_ahead_s() const;
};

// Read a manifest. Throws Failure (PUNCTUM_ERROR_CONFIG) naming the place.
Plan read_manifest(std::string_view text);

}  // namespace punctum
