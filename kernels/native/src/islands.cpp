#include "islands.h"

namespace punctum {

void IslandFinder::feed(Column track, Index base, Index first, std::vector<Island>& islands) {
  const Index stop = base + track.size;
  Index at = first;
  while (at < stop) {
    if (!open_) {
      while (at < stop && !(track[at - base] > threshold_)) ++at;
      if (at == stop) return;
      open(at == 0 ? Place::edge_before(0) : crossing(track, base, at));
      ++at;
      continue;
    }
    Index index = at;
    while (index < stop && track[index - base] > threshold_) ++index;
    const bool fallen = index < stop;
    const Index limit = at_.index + longest_;
    if (index > limit && limit < stop) {
      cut(track, base, limit, islands);
      at = limit + 1;
      continue;
    }
    if (!fallen) return;
    islands.push_back({label_, at_, crossing(track, base, index), index});
    open_ = false;
    at = index + 1;
  }
}

void IslandFinder::finish(Index total, std::vector<Island>& islands) {
  if (!open_ || total <= 0) return;
  islands.push_back({label_, at_, Place::edge_after(total - 1), total - 1});
  open_ = false;
}

Place IslandFinder::crossing(Column track, Index base, Index index) const {
  const double before = track[index - 1 - base], after = track[index - base];
  return {index - 1, (static_cast<double>(threshold_) - before) / (after - before), false};
}

// Split after the lowest snippet of the second half of the longest island allowed. The cut lies between two snippets
// and is an edge to both sides, like the ends of a stream: an action that goes on for ever must not be judged against
// itself as its own surroundings.
void IslandFinder::cut(Column track, Index base, Index limit, std::vector<Island>& islands) {
  Index lowest = at_.index + longest_ / 2;
  for (Index i = lowest + 1; i < limit; ++i) {
    if (track[i - base] < track[lowest - base]) lowest = i;
  }
  islands.push_back({label_, at_, Place::edge_after(lowest), limit});
  open(Place::edge_before(lowest + 1));
}

}  // namespace punctum
