// Provisional reports about an action before its island has closed.
//   nothing -> open (still runs) -> update (has changed, or ended) -> final | retracted
// Created on a grid of media time, independent of when chunks arrive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan.h"
#include "segments.h"

namespace punctum {

// Timing of reports. max_delay_s 0: final events only.
struct LiveOptions {
  double max_delay_s = 0.0, report_score = -1.0, open_score = 0.25, tick_s = 0.0;
  void check() const;                  // throws Failure
  // Whether an ended action with these scores is reported; report_score -1: by its raw score.
  bool reports(double raw, double published) const {
    return report_score < 0.0 ? raw >= 0.01 : published >= report_score;
  }
  Index tick(double stride_s) const;  // snippets between reports; 0 when only final events are wanted
};

// An action that was reported. Times in seconds.
struct ReportedAction {
  std::string id;
  Index label = 0;
  double start = 0.0, end = 0.0, score = 0.0;
  bool ended = false;
  Index revision = 0;
};

// One report: a copy of the action as it is now.
struct Report {
  ReportedAction report;
  std::int32_t phase;
};

struct Span {
  Index label;
  double start, end;
};

class Reporter {
 public:
  Reporter() = default;
  // overhang_s: media time beyond a snippet that its features depend on.
  Reporter(const LiveOptions& options, double tick_s, double stride_s, double overhang_s)
      : options_(options),
        tick_s_(tick_s),
        limit_s_(std::max(options.max_delay_s, tick_s)),
        // The end varies by a fraction of a snippet between ticks, so waiting for the last tick could be too late.
        margin_s_(stride_s + overhang_s),
        overhang_s_(overhang_s) {}

  // Provisional segments (seconds, best first) of one island at a tick, and their raw scores -> reports. The least scores
  // of the options are those of events, which `plan` calibrates.
  void report(Index label, const std::vector<Segment>& segments, const std::vector<double>& scores, double now_s,
             const std::string& key, const Plan& plan, bool degraded, std::vector<Report>& reports);

  // Final segments of one closed island: the action that each continues (empty id: none), and retracted reports.
  struct ClosedIsland {
    std::vector<ReportedAction> partner;
    std::vector<Report> retracted;
  };
  ClosedIsland close_island(Index label, const std::vector<Segment>& segments, const std::vector<double>& scores,
                            Segment span);

  // Retract reports that overlap no island.
  void retract_outside(const std::vector<Span>& alive, std::vector<Report>& reports);

  std::vector<ReportedAction> live;
  Index count = 0;

 private:
  LiveOptions options_;
  double tick_s_ = 0.0, limit_s_ = 0.0, margin_s_ = 0.0, overhang_s_ = 0.0;
};

}  // namespace punctum
