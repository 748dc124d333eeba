// From tracks to scored segments inside one island: the one post-processing there is.
#pragma once

#include <vector>

#include "plan.h"

namespace punctum {

// Candidates of one island, in the window's snippet-center coordinates; contrast and mean class track inside.
struct Proposals {
  std::vector<Segment> segments;
  std::vector<double> contrast, base;
  Index size() const { return static_cast<Index>(segments.size()); }
};

// What the center scorer says of some proposals; nullptr for a term that the fusion leaves out.
struct Head {
  const float* class_probability = nullptr;  // [M, C]
  const float* attention = nullptr;          // [M]
  const float* center = nullptr;             // [M]
  Head from(Index row, Index classes) const {
    return {class_probability ? class_probability + row * classes : nullptr, attention ? attention + row : nullptr,
            center ? center + row : nullptr};
  }
};

struct Scored {
  std::vector<Segment> segments;  // best first
  std::vector<double> scores;
};

// tracks [T, C + 1] of a window; bounds: the island. A run that leaves the bounds is clipped to them.
Proposals propose(const float* tracks, Index length, Index classes, Index label, Segment bounds,
                  const PostProcess& post, double stride_s);

// Throws Failure unless all values are probabilities: code "<what>-not-finite" or "<what>-out-of-range".
void check_range(const float* values, Index count, const std::string& what, const std::string& who);

// Product of the terms that the fusion weights name, never negative. Throws Failure for scores that are not finite.
std::vector<double> fuse(const Proposals& proposals, Index label, Index classes, const Head& head,
                         const PostProcess& post);

// ABA, suppression and score floor.
Scored suppress(const Proposals& proposals, const std::vector<double>& scores, const PostProcess& post);

}  // namespace punctum
