// Conversion of scored segments and reports to events: identity, phase, and the gaps of the stream.
#pragma once

#include <string>
#include <vector>

#include "islands.h"
#include "plan.h"
#include "punctum.h"
#include "reporter.h"

namespace punctum {

struct Event {
  std::string id;
  Index label = 0, revision = 0, dropped = 0;
  std::int32_t phase = PUNCTUM_PHASE_FINAL;
  bool ended = true, interrupted = false, degraded = false;
  double raw_score = 0.0, score = 0.0, start = 0.0, end = 0.0, emitted_at = 0.0, delay_s = 0.0;
};

// Video frames that are missing in a snippet of the section.
struct LostFrames {
  Index snippet, frames;
};

// State of one unbroken part of a stream. Times in seconds on the media clock.
struct Section {
  const Plan& plan;
  const std::string& prefix;  // prefix of event ids
  const std::vector<LostFrames>& lost_frames;
  double start_s, now_s;
  Index known;         // number of snippets
  Index serial;        // snippets of the stream before this section, lost ones included
  Index broken, lost;  // snippets lost before and after it (lost > 0 only if it ends at a gap)
  Index hop;           // snippets between two advances
  bool degraded;

  Index frames_lost(double start, double end) const;
  // Seconds of a snippet-center coordinate.
  double at(Place place) const;
};

// Final events of one island (segments in seconds, best first), and the end of every report about it.
void append_final_events(const Section& section, const Island& island, const std::vector<Segment>& seconds,
              const std::vector<double>& scores, Reporter& reporter, std::vector<Event>& events);

// Sayings of the reporter as events. known_at: media time up to which there were snippets.
void append_provisional_events(const Section& section, const std::vector<Report>& reports, double known_at, std::vector<Event>& events);

}  // namespace punctum
