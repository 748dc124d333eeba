#include "event.h"

namespace punctum {

Index Section::frames_lost(double start, double end) const {
  constexpr Index most = Index{1} << 53;
  Index sum = 0;
  for (const LostFrames& loss : lost_frames) {
    const double low = start_s + static_cast<double>(loss.snippet) * plan.stride_s;
    const double high = start_s + static_cast<double>(loss.snippet + 1) * plan.stride_s;
    if (low < end && start < high) sum = std::min(sum + loss.frames, most);
  }
  return sum;
}

double Section::at(Place place) const {
  return start_s + (static_cast<double>(place.index) + place.offset + 0.5) * plan.stride_s;
}

void append_final_events(const Section& section, const Island& island, const std::vector<Segment>& seconds,
              const std::vector<double>& scores, Reporter& reporter, std::vector<Event>& events) {
  const Plan& plan = section.plan;
  Index complete = island.complete_at(plan.context()) + plan.right + 1;
  complete = std::min((complete + section.hop - 1) / section.hop * section.hop, section.known);
  const double known_at = section.start_s + static_cast<double>(complete) * plan.stride_s;
  const double emitted_at = known_at + plan.overhang_s;
  Reporter::ClosedIsland closed;
  closed.partner.resize(seconds.size());
  if (!reporter.live.empty()) {
    closed = reporter.close_island(island.label, seconds, scores, {section.at(island.start), section.at(island.end)});
  }
  const std::string name = section.prefix + "/" + plan.labels[island.label] + "/" +
                           std::to_string(section.serial + island.start.index) + "/";
  for (std::size_t rank = 0; rank < seconds.size(); ++rank) {
    const auto [start, end] = seconds[rank];
    const ReportedAction& report = closed.partner[rank];
    // A segment that ends within a snippet of a gap was cut off by it.
    const bool began_broken = section.broken > 0 && start < section.start_s + plan.stride_s;
    const bool ended_broken = section.lost > 0 && end > section.now_s - plan.stride_s;
    Event event;
    event.id = report.id.empty() ? name + std::to_string(rank) : report.id;
    event.revision = report.revision;
    event.label = island.label;
    event.raw_score = scores[rank];
    event.score = plan.calibrated_score(island.label, scores[rank], section.degraded);
    event.start = start;
    event.end = end;
    event.emitted_at = emitted_at;
    event.delay_s = emitted_at - end;
    event.dropped = (began_broken ? section.broken : 0) + (ended_broken ? section.lost : 0) +
                    section.frames_lost(start, end);
    event.interrupted = began_broken || ended_broken;
    event.degraded = section.degraded;
    events.push_back(std::move(event));
  }
  append_provisional_events(section, closed.retracted, known_at, events);
}

void append_provisional_events(const Section& section, const std::vector<Report>& reports, double known_at, std::vector<Event>& events) {
  for (const auto& [report, phase] : reports) {
    Event event;
    event.id = report.id;
    event.revision = report.revision;
    event.phase = phase;
    event.label = report.label;
    event.raw_score = report.score;
    event.score = section.plan.calibrated_score(report.label, report.score, section.degraded);
    event.start = report.start;
    event.end = report.end;
    event.emitted_at = known_at + section.plan.overhang_s;
    event.delay_s = event.emitted_at - report.end;
    event.ended = report.ended;
    event.dropped = section.frames_lost(report.start, report.end);
    event.degraded = section.degraded;
    events.push_back(std::move(event));
  }
}

}  // namespace punctum
