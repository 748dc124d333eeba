// From scored segments and reports to events: identity, phase, and what the stream knows about its own breaks.
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
  double score = 0.0, start = 0.0, end = 0.0, emitted_at = 0.0, delay_s = 0.0;
};

// Video frames that are missing in a snippet of the stretch.
struct Hole {
  Index snippet, frames;
};

// An unbroken stretch of one stream, as it stands. Times in seconds on the media clock.
struct Stretch {
  const Plan& plan;
  const std::string& prefix;  // how event ids begin
  const std::vector<Hole>& holes;
  double start_s, now_s;
  Index known;         // snippets taken
  Index serial;        // snippets of the stream before this stretch, lost ones included
  Index broken, lost;  // snippets that never came before and after it (lost > 0 only when it ends in a break)
  Index hop;           // snippets between two looks at the stream
  bool degraded;

  Index frames_lost(double start, double end) const;
  // Seconds of a snippet-centre coordinate.
  double at(Place place) const;
};

// Final events of one island (segments in seconds, best first), and the end of every report about it.
void conclude(const Stretch& stretch, const Island& island, const std::vector<Segment>& seconds,
              const std::vector<double>& scores, Reporter& reporter, std::vector<Event>& events);

// Sayings of the reporter as events. known_at: media time up to which there were snippets.
void tell(const Stretch& stretch, const std::vector<Saying>& said, double known_at, std::vector<Event>& events);

}  // namespace punctum
