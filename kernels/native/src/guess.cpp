// Guesses at a tick: the islands that are not closed yet, scored on what is known so far.
#include <limits>

#include "session.h"

namespace punctum {

// Whether an island is open, or the guessed tracks would open one.
bool Session::stirs() const {
  for (const IslandFinder& finder : finders_) {
    if (finder.is_open()) return true;
  }
  const Index width = classes() + 1;
  const float level = static_cast<float>(plan_->post.class_thresholds[0]);
  for (Index i = 0; i < static_cast<Index>(tail_.size()); ++i) {
    if (i % width < classes() && tail_[i] > level) return true;
  }
  return false;
}

// Closed ones that wait for their surroundings, and all that the guessed tail makes of the others.
std::vector<Island> Session::guessed_islands() const {
  const Index width = classes() + 1, known = features_.end(), first = tracks_.end();
  const Index ahead_rows = static_cast<Index>(tail_.size()) / width;
  const float level = static_cast<float>(post().class_thresholds[0]);
  std::vector<Island> found = waiting_;
  std::vector<float> column;
  for (Index c = 0; c < classes(); ++c) {
    IslandFinder ahead = finders_[c];
    bool hot = ahead.is_open();
    for (Index t = 0; t < ahead_rows && !hot; ++t) hot = tail_[t * width + c] > level;
    if (!hot) continue;
    const Index low = std::max(ahead.is_open() ? ahead.opened().index : first - 1, tracks_.base());
    column.clear();
    const float* settled = tracks_.slice(low, first);
    for (Index t = 0; t < first - low; ++t) column.push_back(settled[t * width + c]);
    for (Index t = 0; t < ahead_rows; ++t) column.push_back(tail_[t * width + c]);
    ahead.feed({column.data(), 1, static_cast<Index>(column.size())}, low, first, found);
    ahead.finish(known, found);
  }
  return found;
}

// Snippets [low, high) that scoring an island may read, as far as they are known.
Index Session::guess_low(const Island& island) const {
  const Index low = island.start.edge ? island.start.index : island.start.index - context_;
  return std::max<Index>({low, tracks_.base(), 0});
}

Index Session::guess_high(const Island& island) const {
  const Index known = features_.end();
  const Index high = island.end.edge ? std::min(island.end.index + 1, known) : known;
  return std::min(high, island.end.index + context_ + 1);
}

// Settled tracks and the guessed ones after them; `joined` holds them where they are not in one piece.
const float* Session::tracks_between(Index low, Index high, std::vector<float>& joined) const {
  const Index width = classes() + 1, settled = tracks_.end();
  if (high <= settled) return tracks_.slice(low, high);
  joined.clear();
  if (low < settled) {
    const float* rows = tracks_.slice(low, settled);
    joined.assign(rows, rows + (settled - low) * width);
  }
  const float* guessed = tail_.data();
  joined.insert(joined.end(), guessed + std::max<Index>(low - settled, 0) * width, guessed + (high - settled) * width);
  return joined.data();
}

// Score every island that is not final, all in one run. True when the engine is asked.
bool Session::prepare_guess() {
  prepared_.clear();
  alive_.clear();
  const Stretch now = stretch(0);
  Index first = std::numeric_limits<Index>::max(), last = 0, count = 0;
  std::vector<float> joined;
  for (const Island& island : guessed_islands()) {
    const Index low = guess_low(island), high = guess_high(island);
    first = std::min(first, low);
    last = std::max(last, high);
    const Segment bounds{static_cast<double>(island.start.index - low) + island.start.offset,
                         static_cast<double>(island.end.index - low) + island.end.offset};
    Prepared one;
    one.island = island;
    one.low = low;
    one.found = propose(tracks_between(low, high, joined), high - low, classes(), island.label, bounds, post(),
                        plan_->stride_s);
    one.asked = post().fusion.needs_head();
    if (!one.asked) one.scores = fuse(one.found, island.label, classes(), Head(), post());
    if (one.asked) count += one.found.size();
    alive_.push_back({island.label, now.at(island.start), now.at(island.end)});
    prepared_.push_back(std::move(one));
  }
  if (count == 0) return false;
  // One window around all of them. Only an island that was cut can see a difference, beyond its cut; these are
  // guesses, and the final answer is scored in its own window.
  want_.kind = PUNCTUM_WANT_SCORE;
  want_.inner = false;
  want_.first = offset_ + first;
  want_.rows = last - first;
  want_.features = features_.slice(first, last);
  want_.tracks = tracks_between(first, last, want_tracks_);
  want_.segments.clear();
  want_.labels.clear();
  for (const Prepared& one : prepared_) {
    const double shift = static_cast<double>(one.low - first);
    for (const Segment& segment : one.found.segments) {
      want_.segments.push_back(static_cast<float>(segment.start + shift));
      want_.segments.push_back(static_cast<float>(segment.end + shift));
      want_.labels.push_back(one.island.label);
    }
  }
  return true;
}

void Session::say_guess() {
  std::vector<Saying> said;
  for (const Prepared& one : prepared_) {
    Scored scored = suppress(one.found, one.scores, post());
    for (Segment& segment : scored.segments) {
      segment.start = start_s_ + (static_cast<double>(one.low) + segment.start + 0.5) * plan_->stride_s;
      segment.end = start_s_ + (static_cast<double>(one.low) + segment.end + 0.5) * plan_->stride_s;
    }
    const std::string key = prefix_ + "/" + plan_->labels[one.island.label];
    reporter_.guess(one.island.label, scored.segments, scored.scores, now_s(), key, said);
  }
  reporter_.sweep(alive_, said);
  tell(stretch(0), said, now_s(), events_);
  prepared_.clear();
  alive_.clear();
}

}  // namespace punctum
