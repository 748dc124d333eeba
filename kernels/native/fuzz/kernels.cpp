// The kernels on arrays of any content: refused, or results within their bounds.
#include <algorithm>

#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::size_t n = in.below(64);
  const bool odd = in.below(8) == 0;
  std::vector<double> segments(2 * n), scores(n), out(2 * n), decayed(n);
  for (std::size_t i = 0; i < n; ++i) {
    segments[2 * i] = odd && in.below(8) == 0 ? in.any_double() : in.wide() / 256.0;
    segments[2 * i + 1] = odd && in.below(8) == 0 ? in.any_double() : segments[2 * i] + in.byte() / 16.0;
    scores[i] = odd && in.below(8) == 0 ? in.any_double() : in.byte() / 255.0;
  }
  std::vector<int64_t> index(n), more(n);
  size_t count = 0;
  punctum_error error = {};
  const double offset = in.below(2), sigma = in.below(16) ? 0.3 : in.any_double(), floor = in.below(4) / 4.0;
  if (sound(punctum_nms(segments.data(), scores.data(), n, 0.5, offset, index.data(), &count, &error), error) == 0) {
    HOLD(count <= n && (n == 0 || count > 0));
  }
  if (sound(punctum_soft_nms(segments.data(), scores.data(), n, sigma, floor, offset, index.data(), decayed.data(), &count,
                             &error),
            error) == 0) {
    HOLD(count <= n);
    std::vector<int64_t> seen(index.begin(), index.begin() + static_cast<std::ptrdiff_t>(count));
    std::sort(seen.begin(), seen.end());
    HOLD(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
    for (std::size_t k = 0; k < count; ++k) HOLD(index[k] >= 0 && static_cast<std::size_t>(index[k]) < n);
    if (!odd && sigma == 0.3) HOLD(std::is_sorted(decayed.begin(), decayed.begin() + static_cast<std::ptrdiff_t>(count), std::greater<>()));
  }
  sound(punctum_adapt_boundaries(segments.data(), scores.data(), n, in.below(11) / 10.0, out.data(), &error), error);
  const std::size_t length = in.below(40), columns = in.below(4);
  std::vector<float> tracks(length * columns);
  for (float& value : tracks) value = in.track();
  const double levels[] = {0.2, 0.5, in.any_double()};
  std::vector<double> runs(2 * 400);
  std::vector<int64_t> column(400), level(400), labels(n);
  if (sound(punctum_find_runs(tracks.data(), length, columns, levels, 3, runs.data(), column.data(), level.data(), 400,
                              &count, &error),
            error) == 0) {
    for (std::size_t i = 0; i < count; ++i) {
      HOLD(runs[2 * i] >= -0.5 && runs[2 * i] <= runs[2 * i + 1] && runs[2 * i + 1] <= static_cast<double>(length) - 0.5);
    }
  }
  for (int64_t& label : labels) label = static_cast<int64_t>(in.below(5)) - (in.below(32) == 0);
  const double margin = in.below(4) ? 0.25 : in.any_double();
  sound(punctum_outer_inner_contrast(tracks.data(), length, columns, segments.data(), labels.data(), n, margin, 5.0,
                                     out.data(), decayed.data(), &error),
        error);
  std::vector<float> pooled(n * 6 * columns);
  sound(punctum_pool_segments(tracks.data(), length, columns, segments.data(), n, 6, margin, 4.0, pooled.data(), &error),
        error);
  return 0;
}
