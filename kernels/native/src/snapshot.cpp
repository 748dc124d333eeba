// A session as bytes and back: magic, version, plan, state, checksum. Two sessions in one state give the same bytes.
#include <cmath>

#include "bytes.h"
#include "json.h"
#include "session.h"

namespace punctum {
namespace {

constexpr char kMagic[] = "punctum-native-session\n";
constexpr std::size_t kMagicSize = sizeof kMagic - 1;
constexpr std::uint32_t kVersion = 2;
constexpr Index kMost = Index{1} << 53;

// All of a plan that decides what a session says.
std::vector<unsigned char> plan_bytes(const Plan& plan) {
  Writer out;
  out.word(plan.labels.size());
  for (const std::string& label : plan.labels) out.text(label);
  out.text(plan.bundle);
  for (const Index value : {plan.dim, plan.left, plan.right, plan.post.max_proposals}) out.index(value);
  const PostProcess& post = plan.post;
  out.reals(post.class_thresholds);
  out.reals(post.actionness_thresholds);
  out.reals({plan.stride_s, plan.overhang_s, post.contrast_margin, post.context, post.right_context_s,
             post.max_island_s, post.fusion.class_probability, post.fusion.attention, post.fusion.center,
             post.fusion.contrast, post.fusion.base, post.adapt_iou, post.sigma, post.nms_iou, post.min_score});
  out.flag(post.adapt);
  out.word(static_cast<std::uint64_t>(post.suppression), 1);
  for (const auto* maps : {&plan.calibration, &plan.reduced_calibration}) {
    for (const ScoreMap& map : *maps) {
      out.reals(map.raw);
      out.reals(map.score);
    }
  }
  return out.bytes;
}

void put_rows(Writer& out, const Rows& rows) {
  out.index(rows.base());
  out.index(rows.end());
  if (rows.width() > 0) out.floats(rows.slice(rows.base(), rows.end()), (rows.end() - rows.base()) * rows.width());
}

Rows take_rows(Reader& in, Index width) {
  const Index base = in.index(0, kMost), end = in.index(base, kMost);
  Rows rows(width, base);
  if (width == 0) {
    rows.append(nullptr, end - base);
    return rows;
  }
  if (end - base > static_cast<Index>(in.left() / 4) / width) Reader::damaged("the snapshot ends too early");
  const std::vector<float> values = in.floats((end - base) * width);
  rows.append(values.data(), end - base);
  return rows;
}

void put_place(Writer& out, const Place& place) {
  out.index(place.index);
  out.real(place.offset);
  out.flag(place.edge);
}

Place take_place(Reader& in, Index low, Index high, double border) {
  Place place;
  place.index = in.index(low, high);
  place.offset = in.real();
  place.edge = in.flag();
  const bool fits = place.edge ? place.offset == border : place.offset >= 0.0 && place.offset <= 1.0;
  if (!fits) Reader::damaged("an offset of the snapshot is out of range");
  return place;
}

}  // namespace

std::vector<unsigned char> Session::freeze() const {
  if (failed_ || want_.kind != PUNCTUM_WANT_NOTHING || waiting_events() > 0) {
    fail(PUNCTUM_ERROR_STATE, "snapshot-busy", "a snapshot while a want is open or events wait",
         "a session at rest", "answer the want and poll all events first");
  }
  Writer out;
  out.bytes.assign(kMagic, kMagic + kMagicSize);
  out.word(kVersion, 4);
  const std::vector<unsigned char> plan = plan_bytes(*original_plan_);
  out.word(plan.size());
  out.bytes.insert(out.bytes.end(), plan.begin(), plan.end());
  out.text(options_.stream);
  out.text(options_.run_id);
  out.reals({options_.live.max_delay_s, options_.live.report_score, options_.live.open_score, options_.live.tick_s});
  out.flag(options_.windows);
  out.flag(options_.keep_features);
  out.real(start_s_);
  for (const Index value : {resets_, offset_, serial_, broken_, counts_.pushed, counts_.islands, counts_.finals, counts_.gaps,
                            counts_.dropped, reporter_.count}) {
    out.index(value);
  }
  for (const bool value : {taken_, closed_, degraded_}) out.flag(value);
  put_rows(out, features_);
  put_rows(out, tracks_);
  put_rows(out, pushed_);
  for (const IslandFinder& finder : finders_) {
    out.flag(finder.is_open());
    if (finder.is_open()) put_place(out, finder.opened());
  }
  out.word(waiting_.size());
  for (const Island& island : waiting_) {
    out.index(island.label);
    put_place(out, island.start);
    put_place(out, island.end);
    out.index(island.closed_at);
  }
  out.word(lost_frames_.size());
  for (const LostFrames& loss : lost_frames_) out.index(loss.snippet), out.index(loss.frames);
  out.word(reporter_.live.size());
  for (const ReportedAction& report : reporter_.live) {
    out.text(report.id);
    out.index(report.label);
    out.index(report.revision);
    out.real(report.start), out.real(report.end), out.real(report.score);
    out.flag(report.ended);
  }
  out.word(checksum(out.bytes.data(), out.bytes.size()));
  return std::move(out.bytes);
}

std::unique_ptr<Session> Session::thaw(std::shared_ptr<const Plan> plan, const unsigned char* bytes, std::size_t size) {
  if (size < kMagicSize + 12 || std::memcmp(bytes, kMagic, kMagicSize) != 0) {
    Reader::damaged("these bytes are no session snapshot");
  }
  if (Reader(bytes + size - 8, 8).word() != checksum(bytes, size - 8)) {
    Reader::damaged("the snapshot is damaged: its checksum does not fit");
  }
  Reader in(bytes + kMagicSize, size - 8 - kMagicSize);
  if (const std::uint64_t version = in.word(4); version != kVersion) {
    fail(PUNCTUM_ERROR_SNAPSHOT, "snapshot-version", "a snapshot of version " + std::to_string(version),
         "version " + std::to_string(kVersion), "use a matching libpunctum");
  }
  const std::uint64_t length = in.word();
  const std::vector<unsigned char> mine = plan_bytes(*plan);
  if (length > in.left() || std::memcmp(in.take(length), mine.data(), std::min<std::size_t>(length, mine.size())) != 0 ||
      length != mine.size()) {
    fail(PUNCTUM_ERROR_SNAPSHOT, "snapshot-bundle", "a snapshot of another bundle or other post-processing",
         "a snapshot of this bundle, '" + plan->bundle + "'", "restore it with its own bundle, or start a new session");
  }
  Options options;
  options.stream = in.text();
  options.run_id = in.text();
  if (!json::is_run_id(options.run_id)) Reader::damaged("the run id in the snapshot cannot be used");
  if (!json::is_text(options.stream)) Reader::damaged("a name in the snapshot is not UTF-8");
  if (in.word() != 4) Reader::damaged("the snapshot has other options");
  options.live.max_delay_s = in.real();
  options.live.report_score = in.real();
  options.live.open_score = in.real();
  options.live.tick_s = in.real();
  options.windows = in.flag();
  options.keep_features = in.flag();
  options.start_s = in.real();
  auto session = std::make_unique<Session>(std::move(plan), std::move(options));
  Session& s = *session;
  for (Index* value : {&s.resets_, &s.offset_, &s.serial_, &s.broken_, &s.counts_.pushed, &s.counts_.islands, &s.counts_.finals,
                       &s.counts_.gaps, &s.counts_.dropped, &s.reporter_.count}) {
    *value = in.index(0, kMost);
  }
  s.name_run();
  for (bool* value : {&s.taken_, &s.closed_, &s.degraded_}) *value = in.flag();
  s.features_ = take_rows(in, s.options_.keep_features ? s.plan_->dim : 0);
  s.tracks_ = take_rows(in, s.classes() + 1);
  s.pushed_ = take_rows(in, s.classes() + 1);
  const Index base = s.tracks_.base(), end = s.tracks_.end(), known = s.features_.end();
  s.advanced_ = known - known % s.hop_;
  // Invariants of an advance: tracks end where the last advance left them, and all rows that it may read exist.
  const Index expected = std::max<Index>(s.advanced_ - s.plan_->right, 0);
  const bool fits = s.closed_ || (end == expected && s.features_.base() <= std::max<Index>(end - s.plan_->left, 0) &&
                                  (s.options_.windows || (s.pushed_.base() <= end && s.pushed_.end() == known)));
  if (!fits || s.features_.base() > known) Reader::damaged("the parts of the snapshot do not fit together");
  // An open or waiting island that begins at `index` needs the rows of its context before it.
  const auto within = [&](const Place& place) {
    const Index low = place.edge ? place.index : std::max<Index>(place.index - s.context_, 0);
    if (low < base || low < s.features_.base()) Reader::damaged("an island of the snapshot begins too early");
  };
  for (IslandFinder& finder : s.finders_) {
    if (!in.flag()) continue;
    const Place place = take_place(in, 0, end, -kBorder);
    within(place);
    finder.open(place);
  }
  for (std::uint64_t n = in.word(); n > 0; --n) {
    Island island;
    island.label = in.index(0, s.classes() - 1);
    island.start = take_place(in, 0, end, -kBorder);
    island.end = take_place(in, island.start.index, end, kBorder);
    island.closed_at = in.index(0, kMost);
    within(island.start);
    if (island.end.index >= end) Reader::damaged("an island of the snapshot ends too late");
    s.waiting_.push_back(island);
  }
  for (std::uint64_t n = in.word(); n > 0; --n) {
    const Index snippet = in.index(0, kMost);
    s.lost_frames_.push_back({snippet, in.index(0, kMost)});
  }
  for (std::uint64_t n = in.word(); n > 0; --n) {
    ReportedAction report;
    report.id = in.text();
    if (report.id.empty() || !json::is_text(report.id)) Reader::damaged("an id in the snapshot is not UTF-8");
    report.label = in.index(0, s.classes() - 1);
    report.revision = in.index(0, kMost);
    report.start = in.real(), report.end = in.real(), report.score = in.real();
    report.ended = in.flag();
    s.reporter_.live.push_back(std::move(report));
  }
  if (in.left() > 0) Reader::damaged("the snapshot has bytes to spare");
  return session;
}

}  // namespace punctum
