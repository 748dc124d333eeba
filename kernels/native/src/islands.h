// Islands: the maximal runs of one class track above its lowest threshold, islands as the track arrives. They are
// the unit that post-processing never crosses, and depend on the track alone, never on how it was chunked.
#pragma once

#include <vector>

#include "kernels.h"

namespace punctum {

constexpr double kBorder = 0.5;  // from a snippet's center to its border

// Where an island starts or ends, as (snippet index, offset from its center): exact after days of stream. `edge` marks
// the end of a stream or a cut, beyond which nothing may be read. It is a flag of its own because a track that crosses
// the threshold exactly half-way between two snippets has the same offset as an edge.
struct Place {
  Index index = 0;
  double offset = 0.0;
  bool edge = false;

  static Place edge_before(Index index) { return {index, -kBorder, true}; }
  static Place edge_after(Index index) { return {index, kBorder, true}; }
};

struct Island {
  Index label = 0;
  Place start, end;
  Index closed_at = 0;  // first snippet at which it was known to have ended

  // Index of the last snippet that scoring needs, with `context` snippets of surroundings.
  Index complete_at(Index context) const {
    return end.edge ? closed_at : std::max(closed_at, end.index + context);
  }
  // Snippets [low, high) that scoring may read; the stream has `total`.
  Index window_low(Index context) const { return start.edge ? start.index : std::max<Index>(start.index - context, 0); }
  Index window_high(Index context, Index total) const {
    return std::min(end.edge ? end.index + 1 : end.index + context + 1, total);
  }
};

// Follows one class track. All it remembers is the start of the island that is open now.
class IslandFinder {
 public:
  IslandFinder(Index label, double threshold, Index longest)
      : label_(label), threshold_(static_cast<float>(threshold)), longest_(std::max<Index>(longest, 2)) {}

  bool is_open() const { return open_; }
  Place opened() const { return at_; }
  void open(Place at) { open_ = true, at_ = at; }

  // track: its first value has the absolute index `base`; indices from `first` on are new. While no island is open, a
  // call whose new values all lie at or below the threshold may be left out.
  void feed(Column track, Index base, Index first, std::vector<Island>& islands);

  // The stream has ended after `total` snippets: close what is open at the outer edge of the last one.
  void finish(Index total, std::vector<Island>& islands);

 private:
  Place crossing(Column track, Index base, Index index) const;
  void cut(Column track, Index base, Index limit, std::vector<Island>& islands);

  Index label_;
  float threshold_;
  Index longest_;  // snippets
  bool open_ = false;
  Place at_;
};

}  // namespace punctum
