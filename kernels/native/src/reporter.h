// Provisional reports: what a stream says about an action before its island has closed.
//   nothing -> open (still runs) -> update (has ended; may change) -> final | retracted
// Made on a grid of media time, never when a chunk happens to arrive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "segments.h"

namespace punctum {

// How early a stream speaks. max_delay_s 0: final events only.
struct LiveOptions {
  double max_delay_s = 0.0, report_score = 0.01, open_score = 0.25, tick_s = 0.0;
  void check() const;                  // throws Failure
  Index tick(double stride_s) const;  // snippets between reports; 0 when only final events are wanted
};

// What has been said about one action so far. Times in seconds.
struct Report {
  std::string id;
  Index label = 0;
  double start = 0.0, end = 0.0, score = 0.0;
  bool ended = false;
  Index revision = 0;
};

// One thing to say: a copy of the report as it is now.
struct Saying {
  Report report;
  std::int32_t phase;
};

struct Span {
  Index label;
  double start, end;
};

class Reporter {
 public:
  Reporter() = default;
  // overhang_s: media beyond a snippet that its features have seen, so that much later it is known.
  Reporter(const LiveOptions& options, double tick_s, double stride_s, double overhang_s)
      : options_(options),
        tick_s_(tick_s),
        limit_s_(std::max(options.max_delay_s, tick_s)),
        // The end moves by a fraction of a snippet from guess to guess; who waits for the last tick can be too late.
        margin_s_(stride_s + overhang_s),
        overhang_s_(overhang_s) {}

  // Provisional segments (seconds, best first) of one island at a tick -> what to say about them.
  void guess(Index label, const std::vector<Segment>& segments, const std::vector<double>& scores, double now_s,
             const std::string& key, std::vector<Saying>& said);

  // Final segments of one closed island: the report that each continues (id empty: none), and what was wrong.
  struct Settled {
    std::vector<Report> partner;
    std::vector<Saying> wrong;
  };
  Settled settle(Index label, const std::vector<Segment>& segments, const std::vector<double>& scores, Segment span);

  // Retract reports that lie in no island any more.
  void sweep(const std::vector<Span>& alive, std::vector<Saying>& said);

  std::vector<Report> live;
  Index count = 0;

 private:
  LiveOptions options_;
  double tick_s_ = 0.0, limit_s_ = 0.0, margin_s_ = 0.0, overhang_s_ = 0.0;
};

}  // namespace punctum
