#include <stdexcept>

#include "api.h"
#include "kernels.h"

namespace {

using namespace punctum;

const Segment* segments_of(const double* values, Index n, const char* name) {
  need_array(values, n, name);
  for (Index i = 0; i < n; ++i) {
    const double start = values[2 * i], end = values[2 * i + 1];
    if (!std::isfinite(start) || !std::isfinite(end)) {
      refuse("not-finite", std::string(name) + "[" + std::to_string(i) + "] contains NaN or infinity", "finite numbers");
    }
    if (end < start) {
      refuse("segment", std::string(name) + "[" + std::to_string(i) + "] ends before it starts", "start <= end");
    }
  }
  return reinterpret_cast<const Segment*>(values);
}

template <class T>
void need_finite(const T* values, Index n, const char* name) {
  need_array(values, n, name);
  for (Index i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) {
      refuse("not-finite", std::string(name) + " contains NaN or infinity at " + std::to_string(i), "finite numbers");
    }
  }
}

void need_number(double value, double least, bool open, const char* name) {
  if (!(open ? value > least : value >= least)) {
    refuse("number", std::string(name) + " is " + std::to_string(value),
           (open ? "more than " : "at least ") + std::to_string(least));
  }
}

void need_offset(double value) {
  if (!std::isfinite(value)) refuse("number", "length_offset is not finite", "a finite number");
}

void need_groups(const int64_t* offsets, Index groups, Index n) {
  need_array(offsets, groups + 1, "offsets");
  bool fits = offsets[0] == 0 && offsets[groups] == n;
  for (Index g = 0; g < groups && fits; ++g) fits = offsets[g] <= offsets[g + 1];
  if (!fits) refuse("groups", "offsets are not a partition", "0 = o[0] <= ... <= o[groups] = n", "rebuild them");
}

void need_bins(std::size_t bins) {
  if (bins < 6 || bins % 6 != 0 || bins > 6000) {
    refuse("bins", "bins is " + std::to_string(bins), "a multiple of 6 up to 6000", "use 6, 12, 18, ...");
  }
}

}  // namespace

extern "C" {

punctum_status punctum_segment_iou(const double* a, size_t n, const double* b, size_t m, double length_offset,
                                   double* out, punctum_error* error) noexcept {
  return guard(error, [&] {
    need_array(out, area_of(n, m, "n"), "out");
    need_offset(length_offset);
    const Segment* left = segments_of(a, static_cast<Index>(n), "a");
    const Segment* right = segments_of(b, static_cast<Index>(m), "b");
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < m; ++j) out[i * m + j] = iou_of(left[i], right[j], length_offset);
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_nms(const double* segments, const double* scores, size_t n, double iou_threshold,
                           double length_offset, int64_t* kept, size_t* count, punctum_error* error) noexcept {
  return guard(error, [&] {
    need(count, "count") = 0;
    const Index size = size_of(n, "n");
    const Segment* seg = segments_of(segments, size, "segments");
    need_finite(scores, size, "scores");
    need_number(iou_threshold, 0.0, true, "iou_threshold");
    need_offset(length_offset);
    need_array(kept, size, "kept");
    const std::vector<Index> found = nms(seg, scores, size, iou_threshold, length_offset);
    std::copy(found.begin(), found.end(), kept);
    *count = found.size();
    return PUNCTUM_OK;
  });
}

punctum_status punctum_soft_nms(const double* segments, const double* scores, size_t n, double sigma, double min_score,
                                double length_offset, int64_t* index, double* decayed, size_t* count,
                                punctum_error* error) noexcept {
  return guard(error, [&] {
    need(count, "count") = 0;
    const int64_t offsets[2] = {0, size_of(n, "n")};
    int64_t out[2] = {0, 0};
    const punctum_status status = punctum_suppress_groups(segments, scores, n, offsets, 1, sigma, min_score,
                                                          length_offset, index, decayed, out, error);
    *count = static_cast<size_t>(out[1]);
    return status;
  });
}

punctum_status punctum_suppress_groups(const double* segments, const double* scores, size_t n, const int64_t* offsets,
                                       size_t groups, double sigma, double min_score, double length_offset,
                                       int64_t* index, double* decayed, int64_t* out_offsets,
                                       punctum_error* error) noexcept {
  return guard(error, [&] {
    const Index size = size_of(n, "n"), many = size_of(groups, "groups");
    const Segment* seg = segments_of(segments, size, "segments");
    need_finite(scores, size, "scores");
    need_groups(offsets, many, size);
    need_number(sigma, 0.0, true, "sigma");
    if (std::isnan(min_score)) refuse("number", "min_score is NaN", "a number");
    need_offset(length_offset);
    need_array(index, size, "index");
    need_array(decayed, size, "decayed");
    need_array(out_offsets, many + 1, "out_offsets");
    Index total = 0;
    out_offsets[0] = 0;
    for (Index g = 0; g < many; ++g) {
      const Index a = offsets[g], b = offsets[g + 1];
      const Index found = soft_nms(seg + a, scores + a, b - a, sigma, min_score, length_offset, index + total,
                                   decayed + total);
      for (Index i = total; i < total + found; ++i) index[i] += a;
      total += found;
      out_offsets[g + 1] = total;
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_adapt_boundaries(const double* segments, const double* scores, size_t n, double iou_threshold,
                                        double* out, punctum_error* error) noexcept {
  return guard(error, [&] {
    const int64_t offsets[2] = {0, size_of(n, "n")};
    return punctum_adapt_groups(segments, scores, n, offsets, 1, iou_threshold, out, error);
  });
}

punctum_status punctum_adapt_groups(const double* segments, const double* scores, size_t n, const int64_t* offsets,
                                    size_t groups, double iou_threshold, double* out, punctum_error* error) noexcept {
  return guard(error, [&] {
    const Index size = size_of(n, "n"), many = size_of(groups, "groups");
    const Segment* seg = segments_of(segments, size, "segments");
    need_finite(scores, size, "scores");
    need_groups(offsets, many, size);
    need_number(iou_threshold, 0.0, false, "iou_threshold");
    need_array(out, size, "out");
    auto* to = reinterpret_cast<Segment*>(out);
    for (Index g = 0; g < many; ++g) {
      const Index a = offsets[g], b = offsets[g + 1];
      adapt_boundaries(seg + a, scores + a, b - a, iou_threshold, to + a);
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_find_runs(const float* tracks, size_t length, size_t columns, const double* thresholds,
                                 size_t levels, double* segments, int64_t* column, int64_t* level, size_t capacity,
                                 size_t* count, punctum_error* error) noexcept {
  return guard(error, [&] {
    need(count, "count") = 0;
    need_finite(tracks, area_of(length, columns, "length"), "tracks");
    need_finite(thresholds, size_of(levels, "levels"), "thresholds");
    const Index room = size_of(capacity, "capacity");
    need_array(segments, room, "segments");
    need_array(column, room, "column");
    need_array(level, room, "level");
    std::vector<Segment> found;
    for (size_t c = 0; c < columns && length > 0; ++c) {
      for (size_t k = 0; k < levels; ++k) {
        found.clear();
        find_runs({tracks + c, static_cast<Index>(columns), static_cast<Index>(length)}, thresholds[k], found);
        for (const Segment& run : found) {
          if (*count < capacity) {
            segments[2 * *count] = run.start;
            segments[2 * *count + 1] = run.end;
            column[*count] = static_cast<int64_t>(c);
            level[*count] = static_cast<int64_t>(k);
          }
          ++*count;
        }
      }
    }
    if (*count > capacity) {
      fail(PUNCTUM_ERROR_CAPACITY, "capacity", "room for " + std::to_string(capacity) + " runs",
           std::to_string(*count) + " or more", "give larger buffers");
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_outer_inner_contrast(const float* tracks, size_t length, size_t columns, const double* segments,
                                            const int64_t* labels, size_t n, double margin, double max_margin,
                                            double* contrast, double* inside, punctum_error* error) noexcept {
  return guard(error, [&] {
    need_finite(tracks, area_of(length, columns, "length"), "tracks");
    const Index size = size_of(n, "n");
    const Segment* seg = segments_of(segments, size, "segments");
    need_number(margin, 0.0, false, "margin");
    need_number(max_margin, 0.0, false, "max_margin");
    for (Index i = 0; i < size && length > 0; ++i) {
      const Index c = labels ? labels[i] : 0;
      if (c < 0 || c >= static_cast<Index>(columns)) refuse("label", "labels hold " + std::to_string(c), "a column");
    }
    std::vector<std::unique_ptr<Integral>> integrals(length > 0 ? columns : 0);
    for (Index i = 0; i < size; ++i) {
      Contrast found{0.0, 0.0};
      if (length > 0) {
        auto& integral = integrals[labels ? labels[i] : 0];
        if (!integral) {
          const Column track{tracks + (labels ? labels[i] : 0), static_cast<Index>(columns), static_cast<Index>(length)};
          integral = std::make_unique<Integral>(track);
        }
        found = contrast_of(*integral, seg[i], margin, max_margin);
      }
      if (contrast) contrast[i] = found.inside - found.outside;
      if (inside) inside[i] = found.inside;
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_bin_edges(const double* segments, size_t n, size_t bins, double context, double max_context,
                                 double* edges, punctum_error* error) noexcept {
  return guard(error, [&] {
    const Index size = size_of(n, "n");
    const Segment* seg = segments_of(segments, size, "segments");
    need_bins(bins);
    need_number(context, 0.0, false, "context");
    need_number(max_context, 0.0, false, "max_context");
    need_array(edges, size, "edges");
    for (Index i = 0; i < size; ++i) {
      bin_edges(seg[i], static_cast<Index>(bins), context, max_context, edges + i * static_cast<Index>(bins + 1));
    }
    return PUNCTUM_OK;
  });
}

punctum_status punctum_pool_segments(const float* features, size_t length, size_t dim, const double* segments, size_t n,
                                     size_t bins, double context, double max_context, float* out,
                                     punctum_error* error) noexcept {
  return guard(error, [&] {
    need_bins(bins);
    const Index size = size_of(n, "n");
    area_of(n * bins, dim, "out");
    need_finite(features, area_of(length, dim, "length"), "features");
    const Segment* seg = segments_of(segments, size, "segments");
    need_number(context, 0.0, false, "context");
    need_number(max_context, 0.0, false, "max_context");
    need_array(out, static_cast<Index>(dim) * size, "out");
    pool_segments(features, static_cast<Index>(length), static_cast<Index>(dim), seg, size, static_cast<Index>(bins),
                  context, max_context, out);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_fuse_confidence(const double* class_probability, const double* attention, const double* center,
                                       size_t n, size_t classes, double* out, punctum_error* error) noexcept {
  return guard(error, [&] {
    const Index area = area_of(n, classes, "n");
    need_finite(class_probability, area, "class_probability");
    need_finite(attention, static_cast<Index>(n), "attention");
    need_finite(center, static_cast<Index>(n), "center");
    need_array(out, area, "out");
    for (size_t i = 0; i < n; ++i) {
      const double weight = attention[i] * center[i];
      for (size_t c = 0; c < classes; ++c) out[i * classes + c] = class_probability[i * classes + c] * weight;
    }
    return PUNCTUM_OK;
  });
}

}  // extern "C"
