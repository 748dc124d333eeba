// One advance of the stream: locate, find islands, score the complete ones, report on the others.
#include <cmath>

#include "session.h"

namespace punctum {
namespace {

constexpr Index kBlock = 2048;  // most snippets per locator call: bounds memory when a long video is pushed at once

// The highest value of each of the first `columns` columns of rows [count, width].
std::vector<float> highest(const float* rows, Index count, Index width, Index columns) {
  std::vector<float> top(rows, rows + columns);
  for (Index t = 1; t < count; ++t) {
    for (Index c = 0; c < columns; ++c) top[c] = std::max(top[c], rows[t * width + c]);
  }
  return top;
}

}  // namespace

void Session::begin_advance(bool final, bool ticks, Index lost) {
  final_ = final, ticks_ = ticks, lost_ = lost;
  first_new_ = tracks_.end();
  degraded_advance_ = degraded_;
  locate_known_ = final ? features_.end() : advanced_;
  locate_limit_ = final ? locate_known_ : std::max(locate_known_ - plan_->right, tracks_.end());
  locate_reach_ = ticks ? locate_known_ : locate_limit_;
  locate_at_ = tracks_.end();
  provisional_.clear();
  step_ = Step::locate;
}

// False when an answer of the engine is needed.
bool Session::advance() {
  if (step_ == Step::locate) {
    if (!locate()) return false;
    find();
    prepare_ready();
    step_ = Step::score;
  }
  if (step_ == Step::score) {
    if (!ask_score()) return false;
    finish_ready();
    step_ = Step::provisional;
    if (!ticks_ || final_ || (waiting_.empty() && reporter_.live.empty() && !any_activity())) {
      forget();
      step_ = Step::none;
      return true;
    }
    if (prepare_provisional()) {
      step_ = Step::report;
      return false;
    }
    step_ = Step::report;
  }
  report_provisional();
  forget();
  step_ = Step::none;
  return true;
}

// Extend the tracks as far as the receptive field allows; only the ends of the section are true edges. With ticks also
// compute provisional tracks up to the last snippet, as if the stream ended there.
bool Session::locate() {
  if (!options_.windows) {
    if (locate_at_ < locate_reach_) {
      tracks_.append(pushed_.slice(locate_at_, locate_reach_), locate_reach_ - locate_at_);
      locate_at_ = locate_reach_;
      pushed_.drop_before(locate_at_);
    }
    return true;
  }
  if (locate_at_ >= locate_reach_) return true;
  const Index stop = std::min(locate_at_ + kBlock, locate_reach_);
  const Index low = std::max<Index>(locate_at_ - plan_->left, 0), high = std::min(stop + plan_->right, locate_known_);
  window_low_ = low;
  want_.kind = PUNCTUM_WANT_LOCATE;
  want_.inner = locate_at_ - low >= plan_->left;
  want_.first = offset_ + low;
  want_.rows = high - low;
  want_.features = features_.slice(low, high);
  return false;
}

void Session::answer_locate(const float* tracks, Index rows) {
  if (want_.kind != PUNCTUM_WANT_LOCATE) {
    fail(PUNCTUM_ERROR_STATE, "no-want", "tracks without an open request for them", "an answer to the open want",
         "call punctum_next_want first");
  }
  if (rows != want_.rows) {
    refuse("backend-shape", "the locator returned " + std::to_string(rows) + " rows", std::to_string(want_.rows));
  }
  const Index width = classes() + 1;
  check_range(tracks, rows * width, "tracks", "the locator returned");
  const Index stop = std::min(locate_at_ + kBlock, locate_reach_);
  try {
    const float* mine = tracks + (locate_at_ - window_low_) * width;
    const Index sure = std::max<Index>(std::min(stop, locate_limit_) - locate_at_, 0);
    if (sure > 0) tracks_.append(mine, sure);
    provisional_.insert(provisional_.end(), mine + sure * width, mine + (stop - locate_at_) * width);
  } catch (...) {
    set_failed();
    throw;
  }
  locate_at_ = stop;
  want_ = Want();
  run();
}

// Feed the new part of each class track to its island finder. Quiet classes cost nothing.
void Session::find() {
  const Index width = classes() + 1, base = tracks_.base(), fresh = tracks_.end() - first_new_;
  if (fresh > 0) {
    const float level = static_cast<float>(plan_->post.class_thresholds[0]);
    const std::vector<float> top = highest(tracks_.slice(first_new_, tracks_.end()), fresh, width, classes());
    for (Index c = 0; c < classes(); ++c) {
      if (!(top[c] > level) && !finders_[c].is_open()) continue;
      finders_[c].feed({tracks_.kept() + c, width, tracks_.end() - base}, base, first_new_, waiting_);
    }
  }
  if (final_) {
    for (IslandFinder& finder : finders_) finder.finish(tracks_.end(), waiting_);
  }
}

// Prepare islands whose context is known, in an order that depends on the media alone.
void Session::prepare_ready() {
  prepared_.clear();
  asking_ = 0;
  std::vector<Island> ready, rest;
  for (const Island& island : waiting_) {
    (final_ || island.complete_at(context_) < tracks_.end() ? ready : rest).push_back(island);
  }
  waiting_.swap(rest);
  std::stable_sort(ready.begin(), ready.end(), [this](const Island& a, const Island& b) {
    const Index x = a.complete_at(context_), y = b.complete_at(context_);
    return x != y ? x < y : a.label != b.label ? a.label < b.label : a.start.index < b.start.index;
  });
  for (const Island& island : ready) {
    const Index low = island.window_low(context_), high = island.window_high(context_, tracks_.end());
    const Segment bounds{static_cast<double>(island.start.index - low) + island.start.offset,
                         static_cast<double>(island.end.index - low) + island.end.offset};
    Prepared one;
    one.island = island;
    one.low = low;
    one.proposals = propose(tracks_.slice(low, high), high - low, classes(), island.label, bounds, post(), plan_->stride_s);
    one.asked = post().fusion.needs_head() && one.proposals.size() > 0;
    if (!one.asked) one.scores = fuse(one.proposals, island.label, classes(), Head(), post());
    prepared_.push_back(std::move(one));
  }
}

// False when the scores of the next island are needed from the engine.
bool Session::ask_score() {
  while (asking_ < prepared_.size() && !prepared_[asking_].asked) ++asking_;
  if (asking_ == prepared_.size()) return true;
  const Prepared& one = prepared_[asking_];
  const Island& island = one.island;
  const Index low = one.low;
  const Index high = island.window_high(context_, tracks_.end());
  want_.kind = PUNCTUM_WANT_SCORE;
  want_.inner = low + context_ <= island.start.index && high >= island.end.index + context_ + 1;
  want_.first = offset_ + low;
  want_.rows = high - low;
  want_.features = features_.slice(low, high);
  want_.tracks = tracks_.slice(low, high);
  want_.segments.clear();
  for (const Segment& segment : one.proposals.segments) {
    want_.segments.push_back(static_cast<float>(segment.start));
    want_.segments.push_back(static_cast<float>(segment.end));
  }
  want_.labels.assign(one.proposals.segments.size(), island.label);
  return false;
}

void Session::answer_score(const Head& head, Index count) {
  if (want_.kind != PUNCTUM_WANT_SCORE) {
    fail(PUNCTUM_ERROR_STATE, "no-want", "scores without an open request for them", "an answer to the open want",
         "call punctum_next_want first");
  }
  if (count != static_cast<Index>(want_.labels.size())) {
    refuse("backend-shape", "scores of " + std::to_string(count) + " proposals", std::to_string(want_.labels.size()));
  }
  const Fusion& weights = post().fusion;
  if ((weights.class_probability > 0 && !head.class_probability) || (weights.attention > 0 && !head.attention) ||
      (weights.center > 0 && !head.center)) {
    refuse("null", "a term of the fusion is NULL", "all terms whose weight is above 0");
  }
  const auto check_term = [&](const float* term, Index size, double weight) {
    if (weight > 0.0) check_range(term, size, "scores", "the center scorer returned");
  };
  check_term(head.class_probability, count * classes(), weights.class_probability);
  check_term(head.attention, count, weights.attention);
  check_term(head.center, count, weights.center);
  // Everything that can fail comes before the first change.
  std::vector<std::vector<double>> scores;
  if (step_ == Step::score) {
    scores.push_back(fuse(prepared_[asking_].proposals, prepared_[asking_].island.label, classes(), head, post()));
    prepared_[asking_].scores.swap(scores[0]);
    prepared_[asking_].asked = false;
  } else {
    Index row = 0;
    for (const Prepared& one : prepared_) {
      scores.push_back(fuse(one.proposals, one.island.label, classes(), head.from(row, classes()), post()));
      row += one.proposals.size();
    }
    for (std::size_t i = 0; i < prepared_.size(); ++i) prepared_[i].scores.swap(scores[i]);
  }
  want_ = Want();
  run();
}

// Emit the final events of the scored islands.
void Session::finish_ready() {
  const Section now = section(lost_);
  for (const Prepared& one : prepared_) {
    Scored scored = suppress(one.proposals, one.scores, post());
    for (Segment& segment : scored.segments) {
      segment.start = start_s_ + (static_cast<double>(one.low) + segment.start + 0.5) * plan_->stride_s;
      segment.end = start_s_ + (static_cast<double>(one.low) + segment.end + 0.5) * plan_->stride_s;
    }
    append_final_events(now, one.island, scored.segments, scored.scores, reporter_, events_);
    counts_.finals += static_cast<Index>(scored.scores.size());
  }
  counts_.islands += static_cast<Index>(prepared_.size());
  prepared_.clear();
}

}  // namespace punctum
