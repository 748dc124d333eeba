// Provisional reports at a tick: islands that are not closed yet, scored on what is known so far.
#include <limits>

#include "session.h"

namespace punctum {

// Whether an island is open, or the provisional tracks would open one.
bool Session::any_activity() const {
  for (const IslandFinder& finder : finders_) {
    if (finder.is_open()) return true;
  }
  const Index width = classes() + 1;
  const float level = static_cast<float>(plan_->post.class_thresholds[0]);
  for (Index i = 0; i < static_cast<Index>(provisional_.size()); ++i) {
    if (i % width < classes() && provisional_[i] > level) return true;
  }
  return false;
}

// Closed islands that wait for their context, and those that the provisional tracks continue or open.
std::vector<Island> Session::islands_so_far() const {
  const Index width = classes() + 1, known = features_.end(), first = tracks_.end();
  const Index ahead_rows = static_cast<Index>(provisional_.size()) / width;
  const float level = static_cast<float>(post().class_thresholds[0]);
  std::vector<Island> islands = waiting_;
  std::vector<float> column;
  for (Index c = 0; c < classes(); ++c) {
    IslandFinder ahead = finders_[c];
    bool hot = ahead.is_open();
    for (Index t = 0; t < ahead_rows && !hot; ++t) hot = provisional_[t * width + c] > level;
    if (!hot) continue;
    const Index low = std::max(ahead.is_open() ? ahead.opened().index : first - 1, tracks_.base());
    column.clear();
    const float* settled = tracks_.slice(low, first);
    for (Index t = 0; t < first - low; ++t) column.push_back(settled[t * width + c]);
    for (Index t = 0; t < ahead_rows; ++t) column.push_back(provisional_[t * width + c]);
    ahead.feed({column.data(), 1, static_cast<Index>(column.size())}, low, first, islands);
    ahead.finish(known, islands);
  }
  return islands;
}

// Bounds of the known snippets [low, high) that scoring an island may read.
Index Session::provisional_low(const Island& island) const {
  const Index low = island.start.edge ? island.start.index : island.start.index - context_;
  return std::max<Index>({low, tracks_.base(), 0});
}

Index Session::provisional_high(const Island& island) const {
  const Index known = features_.end();
  const Index high = island.end.edge ? std::min(island.end.index + 1, known) : known;
  return std::min(high, island.end.index + context_ + 1);
}

// Final tracks and the provisional ones after them; copied to `joined` if the range needs both.
const float* Session::tracks_between(Index low, Index high, std::vector<float>& joined) const {
  const Index width = classes() + 1, settled = tracks_.end();
  if (high <= settled) return tracks_.slice(low, high);
  joined.clear();
  if (low < settled) {
    const float* rows = tracks_.slice(low, settled);
    joined.assign(rows, rows + (settled - low) * width);
  }
  const float* ahead = provisional_.data();
  joined.insert(joined.end(), ahead + std::max<Index>(low - settled, 0) * width, ahead + (high - settled) * width);
  return joined.data();
}

// Score all islands that are not final in one call. True when an answer of the engine is needed.
bool Session::prepare_provisional() {
  prepared_.clear();
  alive_.clear();
  const Section now = section(0);
  Index first = std::numeric_limits<Index>::max(), last = 0, count = 0;
  std::vector<float> joined;
  for (const Island& island : islands_so_far()) {
    const Index low = provisional_low(island), high = provisional_high(island);
    first = std::min(first, low);
    last = std::max(last, high);
    const Segment bounds{static_cast<double>(island.start.index - low) + island.start.offset,
                         static_cast<double>(island.end.index - low) + island.end.offset};
    Prepared one;
    one.island = island;
    one.low = low;
    one.proposals = propose(tracks_between(low, high, joined), high - low, classes(), island.label, bounds, post(),
                        plan_->stride_s);
    one.asked = post().fusion.needs_head();
    if (!one.asked) one.scores = fuse(one.proposals, island.label, classes(), Head(), post());
    if (one.asked) count += one.proposals.size();
    alive_.push_back({island.label, now.at(island.start), now.at(island.end)});
    prepared_.push_back(std::move(one));
  }
  if (count == 0) return false;
  // One window around all of them. Only a cut island can see a difference, beyond its cut; these scores are
  // provisional, and the final ones are computed in a window of their own.
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
    for (const Segment& segment : one.proposals.segments) {
      want_.segments.push_back(static_cast<float>(segment.start + shift));
      want_.segments.push_back(static_cast<float>(segment.end + shift));
      want_.labels.push_back(one.island.label);
    }
  }
  return true;
}

void Session::report_provisional() {
  std::vector<Report> reports;
  for (const Prepared& one : prepared_) {
    Scored scored = suppress(one.proposals, one.scores, post());
    for (Segment& segment : scored.segments) {
      segment.start = start_s_ + (static_cast<double>(one.low) + segment.start + 0.5) * plan_->stride_s;
      segment.end = start_s_ + (static_cast<double>(one.low) + segment.end + 0.5) * plan_->stride_s;
    }
    const std::string key = prefix_ + "/" + plan_->labels[one.island.label];
    reporter_.report(one.island.label, scored.segments, scored.scores, now_s(), key, *plan_, degraded_advance_,
                     reports);
  }
  reporter_.retract_outside(alive_, reports);
  append_provisional_events(section(0), reports, now_s(), events_);
  prepared_.clear();
  alive_.clear();
}

}  // namespace punctum
