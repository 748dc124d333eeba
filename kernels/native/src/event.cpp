#include "event.h"

namespace punctum {

Index Stretch::frames_lost(double start, double end) const {
  constexpr Index most = Index{1} << 53;
  Index sum = 0;
  for (const Hole& hole : holes) {
    const double low = start_s + static_cast<double>(hole.snippet) * plan.stride_s;
    const double high = start_s + static_cast<double>(hole.snippet + 1) * plan.stride_s;
    if (low < end && start < high) sum = std::min(sum + hole.frames, most);
  }
  return sum;
}

double Stretch::at(Place place) const {
  return start_s + (static_cast<double>(place.index) + place.offset + 0.5) * plan.stride_s;
}

void conclude(const Stretch& stretch, const Island& island, const std::vector<Segment>& seconds,
              const std::vector<double>& scores, Reporter& reporter, std::vector<Event>& events) {
  const Plan& plan = stretch.plan;
  Index complete = island.complete_at(plan.context()) + plan.right + 1;
  complete = std::min((complete + stretch.hop - 1) / stretch.hop * stretch.hop, stretch.known);
  const double known_at = stretch.start_s + static_cast<double>(complete) * plan.stride_s;
  const double emitted_at = known_at + plan.overhang_s;
  Reporter::Settled settled;
  settled.partner.resize(seconds.size());
  if (!reporter.live.empty()) {
    settled = reporter.settle(island.label, seconds, scores, {stretch.at(island.start), stretch.at(island.end)});
  }
  const std::string name = stretch.prefix + "/" + plan.labels[island.label] + "/" +
                           std::to_string(stretch.serial + island.start.index) + "/";
  for (std::size_t rank = 0; rank < seconds.size(); ++rank) {
    const auto [start, end] = seconds[rank];
    const Report& report = settled.partner[rank];
    // A segment that reaches to within a snippet of a break was cut off by it.
    const bool began_broken = stretch.broken > 0 && start < stretch.start_s + plan.stride_s;
    const bool ended_broken = stretch.lost > 0 && end > stretch.now_s - plan.stride_s;
    Event event;
    event.id = report.id.empty() ? name + std::to_string(rank) : report.id;
    event.revision = report.revision;
    event.label = island.label;
    event.score = scores[rank];
    event.start = start;
    event.end = end;
    event.emitted_at = emitted_at;
    event.delay_s = emitted_at - end;
    event.dropped = (began_broken ? stretch.broken : 0) + (ended_broken ? stretch.lost : 0) +
                    stretch.frames_lost(start, end);
    event.interrupted = began_broken || ended_broken;
    event.degraded = stretch.degraded;
    events.push_back(std::move(event));
  }
  tell(stretch, settled.wrong, known_at, events);
}

void tell(const Stretch& stretch, const std::vector<Saying>& said, double known_at, std::vector<Event>& events) {
  for (const auto& [report, phase] : said) {
    Event event;
    event.id = report.id;
    event.revision = report.revision;
    event.phase = phase;
    event.label = report.label;
    event.score = report.score;
    event.start = report.start;
    event.end = report.end;
    event.emitted_at = known_at + stretch.plan.overhang_s;
    event.delay_s = event.emitted_at - report.end;
    event.ended = report.ended;
    event.dropped = stretch.frames_lost(report.start, report.end);
    event.degraded = stretch.degraded;
    events.push_back(std::move(event));
  }
}

}  // namespace punctum
