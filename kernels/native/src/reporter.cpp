#include "reporter.h"

#include <cmath>

#include "failure.h"

namespace punctum {
namespace {

constexpr double kSame = 0.3;          // tIoU from which a later provisional segment, or the final event, continues a report
constexpr double kChangedIou = 0.85;   // a report is revised if its tIoU with the new segment is lower
constexpr double kChangedScore = 0.1;  // or if its score changes by more
constexpr double kSlack = 1e-6;        // seconds
constexpr Index kNone = -1;

void revise(ReportedAction& report, double start, double end, double score, bool ended) {
  report.start = start, report.end = end, report.score = score, report.ended = ended;
  ++report.revision;
}

Report retract(ReportedAction report) {
  ++report.revision;
  report.ended = true;
  return {std::move(report), PUNCTUM_PHASE_RETRACTED};
}

bool changed(const ReportedAction& report, double start, double end, double score, bool ended) {
  if (report.ended != ended || std::abs(score - report.score) > kChangedScore) return true;
  const double known_end = report.ended ? report.end : end;  // a running end moves with the clock
  const double inter = std::min(known_end, end) - std::max(report.start, start);
  const double all = std::max(known_end, end) - std::min(report.start, start);
  return inter < kChangedIou * all;
}

// For each segment, best first, the free report (a position in `mine`) that overlaps it most; a running one reaches up
// to now (in a closed island: up to its end).
std::vector<Index> match(const std::vector<ReportedAction>& live, const std::vector<Index>& mine,
                         const std::vector<Segment>& segments, double now_s) {
  std::vector<Index> partner(segments.size(), kNone);
  std::vector<char> taken(mine.size(), 0);
  for (std::size_t k = 0; k < segments.size(); ++k) {
    double best = -2.0;
    Index who = kNone;
    for (std::size_t m = 0; m < mine.size(); ++m) {
      const ReportedAction& report = live[mine[m]];
      const Segment span{report.start, report.ended ? report.end : std::max(report.end, now_s)};
      const double overlap = taken[m] ? -1.0 : iou_of(segments[k], span, 0.0);
      if (overlap > best) best = overlap, who = static_cast<Index>(m);
    }
    if (who != kNone && best >= kSame) partner[k] = who, taken[who] = 1;
  }
  return partner;
}

}  // namespace

void LiveOptions::check() const {
  const auto fits = [](double value) { return std::isfinite(value) && value >= 0.0; };
  if (!fits(max_delay_s)) refuse("live-options", "max_delay_s=" + std::to_string(max_delay_s), "0 or more seconds");
  if (!fits(tick_s)) refuse("live-options", "tick_s=" + std::to_string(tick_s), "0 or more seconds");
  if (!fits(report_score) && report_score != -1.0) {
    refuse("live-options", "report_score=" + std::to_string(report_score), "0 or more, or -1");
  }
  if (!fits(open_score)) refuse("live-options", "open_score=" + std::to_string(open_score), "0 or more");
  if (max_delay_s > 0.0 && tick_s > max_delay_s) {
    refuse("live-options", "tick_s=" + std::to_string(tick_s), "at most max_delay_s=" + std::to_string(max_delay_s));
  }
}

Index LiveOptions::tick(double stride_s) const {
  if (max_delay_s == 0.0) return 0;
  const double wanted = tick_s > 0.0 ? tick_s : max_delay_s / 3;
  const double snippets = std::floor(wanted / stride_s + kSlack);
  return std::max<Index>(static_cast<Index>(std::min(snippets, 1e15)), 1);
}

void Reporter::report(Index label, const std::vector<Segment>& segments, const std::vector<double>& scores,
                     double now_s, const std::string& key, const Plan& plan, bool degraded,
                     std::vector<Report>& reports) {
  if (options_.max_delay_s == 0.0) return;
  std::vector<Index> mine;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (live[i].label == label) mine.push_back(static_cast<Index>(i));
  }
  std::vector<Segment> wanted;
  std::vector<double> published;
  for (std::size_t k = 0; k < segments.size(); ++k) {
    const double shown = plan.calibrated_score(label, scores[k], degraded);
    if (shown < options_.open_score && !options_.reports(scores[k], shown)) break;  // the best come first
    wanted.push_back(segments[k]), published.push_back(shown);
  }
  const std::vector<Index> partner = match(live, mine, wanted, now_s);
  bool running = false;
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    const auto [start, end] = wanted[k];
    const double score = scores[k];
    const bool ended = end < now_s - kSlack;
    if (ended && end + options_.max_delay_s >= now_s + tick_s_ + margin_s_ - kSlack) {
      continue;  // a later tick is still in time and knows more
    }
    if (!ended && (running || published[k] < options_.open_score)) {
      continue;  // one running action per island, and only a likely one
    }
    running = running || !ended;
    if (partner[k] == kNone) {
      // A segment that is found too late waits for its island to close: another report would only add noise.
      const bool late = ended && end + limit_s_ < now_s + overhang_s_ - kSlack;
      if (late || !options_.reports(score, published[k])) continue;
      ++count;
      live.push_back({key + "/r" + std::to_string(count), label, start, end, score, ended, 0});
      reports.push_back({live.back(), ended ? PUNCTUM_PHASE_UPDATE : PUNCTUM_PHASE_OPEN});
    } else if (ReportedAction& report = live[mine[partner[k]]]; changed(report, start, end, score, ended)) {
      revise(report, start, end, score, ended);
      reports.push_back({report, PUNCTUM_PHASE_UPDATE});
    }
  }
}

Reporter::ClosedIsland Reporter::close_island(Index label, const std::vector<Segment>& segments,
                                   const std::vector<double>& scores, Segment span) {
  std::vector<Index> mine;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const double middle = (live[i].start + live[i].end) / 2;
    if (live[i].label == label && span.start - kSlack <= middle && middle <= span.end + kSlack) {
      mine.push_back(static_cast<Index>(i));
    }
  }
  const std::vector<Index> partner = match(live, mine, segments, span.end);
  ClosedIsland closed;
  closed.partner.resize(segments.size());
  std::vector<char> taken(mine.size(), 0);
  for (std::size_t k = 0; k < segments.size(); ++k) {
    if (partner[k] == kNone) continue;
    ReportedAction& report = live[mine[partner[k]]];
    revise(report, segments[k].start, segments[k].end, scores[k], true);
    closed.partner[k] = report;
    taken[partner[k]] = 1;
  }
  std::vector<char> gone(live.size(), 0);
  for (std::size_t m = 0; m < mine.size(); ++m) {
    gone[mine[m]] = 1;
    if (!taken[m]) closed.retracted.push_back(retract(live[mine[m]]));
  }
  std::vector<ReportedAction> rest;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (!gone[i]) rest.push_back(std::move(live[i]));
  }
  live.swap(rest);
  return closed;
}

void Reporter::retract_outside(const std::vector<Span>& alive, std::vector<Report>& reports) {
  std::vector<ReportedAction> rest;
  for (ReportedAction& report : live) {
    const bool held = std::any_of(alive.begin(), alive.end(), [&report](const Span& span) {
      return span.label == report.label && span.start < report.end && report.start < span.end;
    });
    if (held) {
      rest.push_back(std::move(report));
    } else {
      reports.push_back(retract(std::move(report)));
    }
  }
  live.swap(rest);
}

}  // namespace punctum
