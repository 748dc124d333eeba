#include "session.h"

#include <cmath>
#include <cstdio>

namespace punctum {
namespace {

constexpr double kHop = 0.5;      // seconds between advances if only final events are wanted
constexpr double kFarthest = 4e15;  // snippets: indices and their sums stay exact in float64

void check_rows(const float* rows, Index count, Index width, const char* code, const char* name) {
  for (Index i = 0; i < count * width; ++i) {
    if (std::isfinite(rows[i])) continue;
    refuse(code, std::string(name) + " contain NaN or infinity at snippet " + std::to_string(i / width) + ", column " +
                     std::to_string(i % width),
           "finite numbers", "check what computed them");
  }
}

void check_time(double value, const char* what, const char* code) {
  char given[80];
  std::snprintf(given, sizeof given, "%s at %g s", what, value);
  if (!std::isfinite(value)) refuse(code, given, "a finite media time", "check the source");
  if (std::abs(value) > kMaxMediaS) {
    refuse("time-out-of-range", given,
           "media times within 17179869184 s of 0",
           "pass seconds, not milliseconds or a smaller unit, or let media time start at 0");
  }
}

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan, Options options)
    : plan_(plan), original_plan_(std::move(plan)), options_(std::move(options)) {
  if (plan_->post.video_gate) {
    refuse("gate-video-live", "the bundle has gate='video', which needs statistics of the whole video",
           "gate='none' on streams", "set gate to 'none'");
  }
  check_time(options_.start_s, "a stream that starts", "start");
  options_.live.check();
  if (!options_.windows) {
    Plan located = *plan_;
    located.overhang_s += static_cast<double>(located.right) * located.stride_s;
    located.left = located.right = 0;
    plan_ = std::make_shared<const Plan>(std::move(located));
  }
  reduced_ = plan_->post.simplified();
  context_ = plan_->context();
  longest_ = static_cast<Index>(std::min(std::floor(plan_->post.max_island_s / plan_->stride_s), kFarthest));
  tick_ = options_.live.tick(plan_->stride_s);
  hop_ = tick_ > 0 ? tick_ : std::max<Index>(static_cast<Index>(std::floor(kHop / plan_->stride_s)), 1);
  reporter_ = Reporter(options_.live, static_cast<double>(tick_) * plan_->stride_s, plan_->stride_s, plan_->overhang_s);
  start_s_ = options_.start_s;
  name_run();
  begin();
}

// A reset counts as a start: with a run id, event ids after it differ from those before.
void Session::name_run() {
  prefix_ = options_.stream;
  if (options_.run_id.empty()) return;
  prefix_ += "/" + options_.run_id;
  if (resets_ > 0) prefix_ += "." + std::to_string(resets_);
}

// Begin a section: at the start, after a gap, and after reset.
void Session::begin() {
  features_ = Rows(options_.keep_features ? plan_->dim : 0);
  tracks_ = Rows(classes() + 1);
  pushed_ = Rows(classes() + 1);
  provisional_.clear();
  finders_.clear();
  for (Index c = 0; c < classes(); ++c) finders_.emplace_back(c, plan_->post.class_thresholds[0], longest_);
  waiting_.clear();
  lost_frames_.clear();
  advanced_ = 0;
}

void Session::require_ready() const {
  if (failed_) {
    fail(PUNCTUM_ERROR_STATE, "session-failed", "a call after an internal error of this session", "reset or free",
         "reset the session, or restore a snapshot");
  }
  if (want_.kind != PUNCTUM_WANT_NOTHING) {
    fail(PUNCTUM_ERROR_STATE, "want-open", "a call while the session waits for its engine", "an answer to the open want",
         "call punctum_next_want and answer the want");
  }
  if (closed_) {
    fail(PUNCTUM_ERROR_STATE, "session-closed", "a push or flush after flush", "one flush per session",
         "start a new session, or reset this one");
  }
}

void Session::push(const float* features, const float* tracks, Index count, const double* at,
                   const std::vector<LostFrames>& lost) {
  require_ready();
  const double stride = plan_->stride_s;
  if (options_.keep_features && count > 0 && !features) refuse("null", "features is NULL", "[count, dim] values");
  if (!options_.windows && count > 0 && !tracks) refuse("null", "tracks is NULL", "[count, classes + 1] values");
  if (options_.keep_features) check_rows(features, count, plan_->dim, "features-not-finite", "features");
  if (!options_.windows) {
    check_rows(tracks, count, classes() + 1, "tracks-not-finite", "tracks");
    check_range(tracks, count * (classes() + 1), "tracks", "the locator returned");
  }
  for (const LostFrames& loss : lost) {
    if (loss.snippet < 0 || loss.snippet >= std::max<Index>(count, 1) || loss.frames < 0 || loss.frames > (Index{1} << 50)) {
      refuse("lost", "lost frames at row " + std::to_string(loss.snippet), "rows of the chunk, 0 or more frames");
    }
  }
  const double reach = static_cast<double>(serial_) + static_cast<double>(features_.end()) + static_cast<double>(count);
  if (reach > kFarthest) refuse("stream-too-long", "more snippets than can be counted", "4e15", "reset the session");
  if (at) {
    check_time(*at, "snippets", "time-not-finite");
    if (taken_ && *at < now_s() - 0.5 * stride) {
      refuse("time-backwards",
             "snippets at " + std::to_string(*at) + " s after snippets up to " + std::to_string(now_s()) + " s",
             "increasing media time", "drop the chunk if it came twice; reset the session if the source has restarted");
    }
    if (reach + (*at - now_s()) / stride > kFarthest) {
      refuse("time-too-far", "a gap up to " + std::to_string(*at) + " s", "4e15 snippets", "check the source");
    }
  }
  const double first = at ? (taken_ ? std::max(*at, now_s()) : *at) : taken_ ? now_s() : 0.0;
  check_time(first + static_cast<double>(count) * stride, "snippets that end", "time-not-finite");
  std::vector<LostFrames> lost_frames = lost;  // allocations that can fail come before the first change
  lost_frames_.reserve(lost_frames_.size() + lost_frames.size());
  chunk_features_ = features;
  chunk_tracks_ = tracks;
  chunk_count_ = count;
  chunk_done_ = 0;
  chunk_lost_.swap(lost_frames);
  task_ = Task::chunk;
  if (at && !taken_) {
    start_s_ = *at;
  } else if (at && *at > now_s() + 0.5 * stride) {
    break_at_ = *at;
    task_ = Task::after_break;
    const Index gone = static_cast<Index>(std::nearbyint((*at - now_s()) / stride));
    begin_advance(true, false, std::max<Index>(gone, 1));
  }
  taken_ = taken_ || at || count > 0;
  counts_.pushed += count;
  if (task_ == Task::chunk) add_lost_frames();
  run();
}

void Session::add_lost_frames() {
  for (const LostFrames& loss : chunk_lost_) {
    if (loss.frames > 0) lost_frames_.push_back({features_.end() + loss.snippet, loss.frames});
  }
}

void Session::flush() {
  require_ready();
  closed_ = true;
  task_ = Task::after_flush;
  begin_advance(true, false, 0);
  run();
}

void Session::reset(double start_s) {
  check_time(start_s, "a stream that starts", "start");
  start_s_ = start_s;
  ++resets_;
  name_run();
  closed_ = taken_ = failed_ = false;
  serial_ = broken_ = offset_ = 0;
  reporter_.live.clear();
  counts_ = Counts();
  task_ = Task::none;
  step_ = Step::none;
  want_ = Want();
  prepared_.clear();
  alive_.clear();
  chunk_count_ = chunk_done_ = 0;
  begin();
}

// The engine cannot answer: end the stream. Open reports are retracted; unfinished actions are lost.
void Session::abandon() {
  if (failed_ || (closed_ && want_.kind == PUNCTUM_WANT_NOTHING)) require_ready();
  closed_ = true;
  task_ = Task::none;
  step_ = Step::none;
  want_ = Want();
  prepared_.clear();
  alive_.clear();
  retract_all();
}

// Process the call until it is done or an answer of the engine is needed.
void Session::run() {
  try {
    for (;;) {
      if (step_ != Step::none && !advance()) break;
      if (task_ == Task::none) break;
      if (task_ == Task::chunk) {
        if (!chunk_step()) task_ = Task::none;
      } else if (task_ == Task::after_flush) {
        retract_all();
        task_ = Task::none;
      } else {
        retract_all();
        serial_ += features_.end() + lost_;
        offset_ += features_.end();
        ++counts_.gaps;
        counts_.dropped += lost_;
        broken_ = lost_;
        start_s_ = break_at_;
        begin();
        add_lost_frames();
        task_ = Task::chunk;
      }
    }
    // The caller's arrays are not valid after the call returns.
    if (task_ == Task::none || chunk_done_ >= chunk_count_) {
      own_features_ = std::vector<float>();
      own_tracks_ = std::vector<float>();
      chunk_features_ = chunk_tracks_ = nullptr;
    } else {
      const auto keep = [this](const float*& rows, std::vector<float>& own, Index width) {
        if (!rows || rows == own.data()) return;
        own.assign(rows, rows + chunk_count_ * width);
        rows = own.data();
      };
      if (options_.keep_features) keep(chunk_features_, own_features_, plan_->dim);
      if (!options_.windows) keep(chunk_tracks_, own_tracks_, classes() + 1);
    }
  } catch (Failure& failure) {
    set_failed();
    failure.status = PUNCTUM_ERROR_INTERNAL;
    throw;
  } catch (...) {
    set_failed();
    throw;
  }
}

// The call failed half-way: only a reset leads out of this state.
void Session::set_failed() {
  failed_ = true;
  task_ = Task::none;
  step_ = Step::none;
  want_ = Want();
}

// Process the next part of the chunk, up to a tick. False when the chunk is done.
bool Session::chunk_step() {
  if (chunk_done_ >= chunk_count_) return false;
  Index step = chunk_count_ - chunk_done_;
  if (tick_ > 0) step = std::min(step, tick_ - features_.end() % tick_);
  if (!options_.windows) pushed_.append(chunk_tracks_ + chunk_done_ * (classes() + 1), step);
  features_.append(options_.keep_features ? chunk_features_ + chunk_done_ * plan_->dim : nullptr, step);
  chunk_done_ += step;
  const Index reached = features_.end() - features_.end() % hop_;
  if (reached > advanced_) {
    advanced_ = reached;
    begin_advance(false, tick_ > 0, 0);
  }
  return true;
}

Section Session::section(Index lost) const {
  return {*plan_, prefix_, lost_frames_, start_s_, now_s(), features_.end(), serial_, broken_, lost, hop_,
          degraded_advance_};
}

void Session::retract_all() {
  std::vector<Report> reports;
  reporter_.retract_outside({}, reports);
  append_provisional_events(section(0), reports, now_s(), events_);
}

bool Session::next_event(Event& event) {
  if (polled_ == events_.size()) return false;
  event = std::move(events_[polled_++]);
  if (polled_ == events_.size()) {
    events_.clear();
    polled_ = 0;
  }
  return true;
}

std::size_t Session::bytes() const {
  const std::size_t floats = provisional_.capacity() + own_features_.capacity() + own_tracks_.capacity();
  return sizeof(Session) + features_.bytes() + tracks_.bytes() + pushed_.bytes() + floats * sizeof(float) +
         finders_.capacity() * sizeof(IslandFinder) + waiting_.capacity() * sizeof(Island) +
         events_.capacity() * sizeof(Event) + reporter_.live.capacity() * sizeof(ReportedAction);
}

// Drop rows that no open or waiting island and no later locator window can need.
void Session::forget() {
  Index oldest = tracks_.end() - 1;
  for (const IslandFinder& finder : finders_) {
    if (finder.is_open()) oldest = std::min(oldest, finder.opened().index);
  }
  for (const Island& island : waiting_) oldest = std::min(oldest, island.start.index);
  oldest -= context_ + 1;
  features_.drop_before(std::min(oldest, tracks_.end() - plan_->left));
  tracks_.drop_before(oldest);
  pushed_.drop_before(tracks_.end());
  lost_frames_.erase(std::remove_if(lost_frames_.begin(), lost_frames_.end(), [oldest](const LostFrames& h) { return h.snippet < oldest; }),
               lost_frames_.end());
}

}  // namespace punctum
