// Runs of a track above thresholds, and exact integrals of its interpolant, in snippet-center coordinates: x = t is the
// center of snippet t. Between centers the track is linear; beyond the first and last one it runs on flat to -0.5 and
// T - 0.5; outside it does not exist.
#include "kernels.h"

namespace punctum {

void find_runs(Column track, double level, std::vector<Segment>& runs) {
  bool inside = false;
  double start = 0.0;
  for (Index t = 0; t < track.size; ++t) {
    const double value = track[t];
    if (value > level) {
      if (inside) continue;
      inside = true;
      start = -0.5;
      if (t > 0) {
        const double before = track[t - 1];
        start = static_cast<double>(t - 1) + (level - before) / (value - before);
      }
    } else if (inside) {
      inside = false;
      const double before = track[t - 1];
      runs.push_back({start, static_cast<double>(t - 1) + (before - level) / (before - value)});
    }
  }
  if (inside) runs.push_back({start, static_cast<double>(track.size) - 0.5});
}

Integral::Integral(Column track) : track_(track), total_(static_cast<std::size_t>(track.size)) {
  if (track.size == 0) return;
  total_[0] = 0.5 * static_cast<double>(track[0]);
  for (Index t = 1; t < track.size; ++t) {
    total_[t] = total_[t - 1] + 0.5 * (static_cast<double>(track[t - 1]) + static_cast<double>(track[t]));
  }
}

double Integral::to(double x) const {
  const Index n = track_.size;
  const double last = static_cast<double>(n - 1);
  if (x <= -0.5) return 0.0;
  if (x >= static_cast<double>(n) - 0.5) return total_[n - 1] + 0.5 * static_cast<double>(track_[n - 1]);
  if (x <= 0.0) return (x + 0.5) * static_cast<double>(track_[0]);
  const Index t = static_cast<Index>(x);
  if (t >= n - 1) return total_[n - 1] + (x - last) * static_cast<double>(track_[n - 1]);
  const double f = x - static_cast<double>(t), here = track_[t], next = track_[t + 1];
  return total_[t] + f * here + 0.5 * f * f * (next - here);
}

double Integral::value(double x) const {
  const Index n = track_.size;
  if (x <= 0.0) return track_[0];
  if (x >= static_cast<double>(n - 1)) return track_[n - 1];
  const Index t = static_cast<Index>(x);
  const double f = x - static_cast<double>(t);
  return (1.0 - f) * static_cast<double>(track_[t]) + f * static_cast<double>(track_[t + 1]);
}

Contrast contrast_of(const Integral& track, Segment segment, double margin, double max_margin) {
  const double edge = static_cast<double>(track.size()) - 0.5;
  const double start = std::min(std::max(segment.start, -0.5), edge);
  const double end = std::min(std::max(segment.end, -0.5), edge);
  const double low = track.to(start), high = track.to(end);
  const double inside = end > start ? (high - low) / (end - start) : track.value(start);
  const double width = std::min(margin * (segment.end - segment.start), max_margin);
  const double left = std::max(segment.start - width, -0.5), right = std::min(segment.end + width, edge);
  const double room = std::max(start - left, 0.0) + std::max(right - end, 0.0);
  double outside = 0.0;
  if (room > 0.0) outside = (low - track.to(left) + track.to(right) - high) / room;
  return {inside, outside};
}

}  // namespace punctum
