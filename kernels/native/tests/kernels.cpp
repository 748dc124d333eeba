// The kernels against their definitions, written out plainly, and against values that can be worked out by hand.
#include <algorithm>
#include <limits>

#include "check.h"
#include "kernels.h"
#include "punctum.h"
#include "stream.h"

namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

struct Case {
  std::vector<double> segments, scores;
  std::size_t size() const { return scores.size(); }
  const punctum::Segment& at(std::size_t i) const {
    return reinterpret_cast<const punctum::Segment*>(segments.data())[i];
  }
};

// On a coarse grid, so that many touch, coincide, or have no length; scores with ties and zeros.
Case scored(std::uint64_t seed, std::size_t count) {
  stream::Random random(seed);
  const double lengths[] = {0.0, 0.25, 1.0, 2.5, 7.0}, values[] = {0.0, 0.1, 0.25, 0.5, 0.9};
  Case made;
  for (std::size_t i = 0; i < count; ++i) {
    const double start = random.below(static_cast<std::uint32_t>(2 * count + 8)) / 4.0;
    made.segments.push_back(start);
    made.segments.push_back(start + lengths[random.below(5)]);
    made.scores.push_back(values[random.below(5)]);
  }
  return made;
}

std::vector<std::size_t> best_first(const Case& c) {
  std::vector<std::size_t> order(c.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&c](std::size_t a, std::size_t b) { return c.scores[a] > c.scores[b]; });
  return order;
}

}  // namespace

TEST(iou_by_hand) {
  const double a[] = {0, 4, 1, 1}, b[] = {2, 6, 4, 8, 0, 4};
  double out[6];
  CHECK(punctum_segment_iou(a, 2, b, 3, 0.0, out, nullptr) == PUNCTUM_OK);
  const double expected[] = {2.0 / 6.0, 0.0, 1.0, 0.0, 0.0, 0.0};
  for (int i = 0; i < 6; ++i) CHECK_NEAR(out[i], expected[i], 1e-15);
  CHECK(punctum_segment_iou(a, 1, b, 1, 1.0, out, nullptr) == PUNCTUM_OK);
  CHECK_NEAR(out[0], 3.0 / 7.0, 1e-15);
}

TEST(nms_by_its_definition) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Case c = scored(seed, seed % 40);
    for (const double threshold : {0.1, 0.5, 1.0}) {
      std::vector<int64_t> kept(c.size()), expected;
      size_t count = 0;
      CHECK(punctum_nms(c.segments.data(), c.scores.data(), c.size(), threshold, 0.0, kept.data(), &count, nullptr) ==
            PUNCTUM_OK);
      for (const std::size_t i : best_first(c)) {
        const bool free = std::all_of(expected.begin(), expected.end(), [&](int64_t k) {
          return punctum::iou_of(c.at(static_cast<std::size_t>(k)), c.at(i), 0.0) < threshold;
        });
        if (free) expected.push_back(static_cast<int64_t>(i));
      }
      kept.resize(count);
      CHECK(kept == expected);
    }
  }
}

TEST(soft_nms_by_its_definition) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Case c = scored(seed, seed % 7 == 0 ? 300 : seed % 40);
    const double sigma = seed % 2 ? 0.3 : 0.9, floor = seed % 3 ? 0.0 : 0.2;
    std::vector<int64_t> index(c.size());
    std::vector<double> decayed(c.size()), current = c.scores, expected;
    size_t count = 0;
    CHECK(punctum_soft_nms(c.segments.data(), c.scores.data(), c.size(), sigma, floor, 0.0, index.data(), decayed.data(),
                           &count, nullptr) == PUNCTUM_OK);
    std::vector<bool> alive(c.size(), true);
    for (std::size_t round = 0; round < c.size(); ++round) {
      std::size_t best = c.size();
      for (std::size_t i = 0; i < c.size(); ++i) {
        if (alive[i] && (best == c.size() || current[i] > current[best])) best = i;
      }
      if (current[best] < floor) break;
      alive[best] = false;
      expected.push_back(current[best]);
      for (std::size_t i = 0; i < c.size(); ++i) {
        const double iou = punctum::iou_of(c.at(best), c.at(i), 0.0);
        if (alive[i]) current[i] *= std::exp(-(iou * iou) / sigma);
      }
    }
    CHECK_SAME(count, expected.size());
    for (std::size_t k = 0; k < std::min<std::size_t>(count, expected.size()); ++k) {
      CHECK_NEAR(decayed[k], expected[k], 1e-9 * expected[k] + 1e-15);
    }
  }
}

TEST(negative_scores_sink_last) {
  const double segments[] = {0, 2, 1, 3, 10, 11}, scores[] = {-0.5, 0.5, -0.1};
  int64_t index[3];
  double decayed[3];
  size_t count = 0;
  CHECK(punctum_soft_nms(segments, scores, 3, 0.3, -1.0, 0.0, index, decayed, &count, nullptr) == PUNCTUM_OK);
  CHECK_SAME(count, std::size_t{3});
  CHECK(index[0] == 1 && index[1] == 2 && index[2] == 0);
}

TEST(boundaries_by_their_definition) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Case c = scored(seed, seed % 40);
    const double threshold = seed % 2 ? 0.4 : 0.1;
    std::vector<double> out(2 * c.size()), expected = c.segments;
    CHECK(punctum_adapt_boundaries(c.segments.data(), c.scores.data(), c.size(), threshold, out.data(), nullptr) ==
          PUNCTUM_OK);
    std::vector<bool> locked(c.size(), false);
    for (const std::size_t i : best_first(c)) {
      if (locked[i]) continue;
      double weight = 0.0, start = 0.0, end = 0.0;
      for (std::size_t j = 0; j < c.size(); ++j) {
        const double iou = punctum::iou_of(c.at(i), c.at(j), 0.0);
        if (!(iou > threshold)) continue;
        weight += iou * c.scores[j];
        start += iou * c.scores[j] * c.at(j).start;
        end += iou * c.scores[j] * c.at(j).end;
        locked[j] = true;
      }
      if (weight > 0.0) expected[2 * i] = start / weight, expected[2 * i + 1] = end / weight;
    }
    for (std::size_t k = 0; k < out.size(); ++k) CHECK_NEAR(out[k], expected[k], 1e-9);
  }
}

TEST(groups_are_the_single_calls) {
  const Case c = scored(7, 60);
  const int64_t offsets[] = {0, 20, 20, 45, 60};
  std::vector<double> out(120), alone(120), decayed(60), value(60);
  std::vector<int64_t> index(60), which(60), ends(5);
  CHECK(punctum_adapt_groups(c.segments.data(), c.scores.data(), 60, offsets, 4, 0.4, out.data(), nullptr) == PUNCTUM_OK);
  CHECK(punctum_suppress_groups(c.segments.data(), c.scores.data(), 60, offsets, 4, 0.3, 0.01, 0.0, index.data(),
                                decayed.data(), ends.data(), nullptr) == PUNCTUM_OK);
  for (int g = 0; g < 4; ++g) {
    const std::size_t a = static_cast<std::size_t>(offsets[g]), n = static_cast<std::size_t>(offsets[g + 1]) - a;
    size_t count = 0;
    punctum_adapt_boundaries(c.segments.data() + 2 * a, c.scores.data() + a, n, 0.4, alone.data(), nullptr);
    CHECK(std::equal(alone.begin(), alone.begin() + static_cast<std::ptrdiff_t>(2 * n), out.begin() + 2 * offsets[g]));
    punctum_soft_nms(c.segments.data() + 2 * a, c.scores.data() + a, n, 0.3, 0.01, 0.0, which.data(), value.data(),
                     &count, nullptr);
    CHECK_SAME(static_cast<int64_t>(count), ends[g + 1] - ends[g]);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t at = static_cast<std::size_t>(ends[g]) + k;
      CHECK(index[at] == which[k] + offsets[g] && decayed[at] == value[k]);
    }
  }
}

TEST(runs_by_hand) {
  const float tracks[] = {0.9f, 0.1f, 0.1f, 0.1f, 0.1f, 0.5f, 0.3f, 0.9f};  // two columns, four rows
  const double levels[] = {0.2, 0.4};
  double segments[16];
  int64_t column[8], level[8];
  size_t count = 0;
  CHECK(punctum_find_runs(tracks, 4, 2, levels, 2, segments, column, level, 8, &count, nullptr) == PUNCTUM_OK);
  CHECK_SAME(count, std::size_t{5});
  const double expected[] = {-0.5, 0.875, 2.5, 3.5, -0.5, 0.625, 1.25, 3.5, 1.75, 3.5};
  for (int i = 0; i < 10; ++i) CHECK_NEAR(segments[i], expected[i], 1e-6);
  CHECK(column[0] == 0 && column[2] == 0 && level[2] == 1 && column[3] == 1 && level[4] == 1);
  CHECK(punctum_find_runs(tracks, 4, 2, levels, 2, nullptr, nullptr, nullptr, 0, &count, nullptr) ==
        PUNCTUM_ERROR_CAPACITY);
  CHECK_SAME(count, std::size_t{5});
  CHECK(punctum_find_runs(nullptr, 0, std::size_t{1} << 40, levels, 2, nullptr, nullptr, nullptr, 0, &count, nullptr) ==
        PUNCTUM_OK);
  CHECK_SAME(count, std::size_t{0});
}

TEST(contrast_by_hand) {
  const float track[] = {0.0f, 0.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f, 0.0f};
  const double segments[] = {2, 5, -0.5, 7.5, 2, 2};
  double contrast[3], inside[3];
  CHECK(punctum_outer_inner_contrast(track, 8, 1, segments, nullptr, 3, 0.5, kNoLimit, contrast, inside, nullptr) ==
        PUNCTUM_OK);
  CHECK_NEAR(inside[0], 1.0, 1e-12);
  CHECK_NEAR(contrast[0], 1.0 - 0.5 / 1.5, 1e-12);  // 1 falls to 0 within one snippet, the rest of the margin is 0
  CHECK_NEAR(inside[1], 4.0 / 8.0, 1e-12);
  CHECK_NEAR(contrast[1], 0.5, 1e-12);  // no room outside
  CHECK_NEAR(inside[2], 1.0, 1e-12);    // no length: the value there
  const double narrow[] = {2, 5};
  punctum_outer_inner_contrast(track, 8, 1, narrow, nullptr, 1, 0.5, 0.5, contrast, nullptr, nullptr);
  CHECK_NEAR(contrast[0], 1.0 - 0.75, 1e-12);
}

TEST(bins_by_hand) {
  const double segment[] = {2, 6};
  double edges[7];
  CHECK(punctum_bin_edges(segment, 1, 6, 0.25, kNoLimit, edges, nullptr) == PUNCTUM_OK);
  for (int k = 0; k < 7; ++k) CHECK_NEAR(edges[k], 1.0 + k, 1e-12);
}

TEST(pooling_of_a_ramp_is_the_middle_of_each_bin) {
  float features[20];
  for (int t = 0; t < 10; ++t) features[2 * t] = static_cast<float>(t), features[2 * t + 1] = 1.0f;
  const double segments[] = {2.5, 6.7, 0.0, 9.0};
  float out[2 * 12 * 2];
  double edges[2 * 13];
  CHECK(punctum_pool_segments(features, 10, 2, segments, 2, 12, 0.25, 0.0, out, nullptr) == PUNCTUM_OK);
  CHECK(punctum_bin_edges(segments, 2, 12, 0.25, 0.0, edges, nullptr) == PUNCTUM_OK);
  for (int i = 0; i < 2; ++i) {
    for (int b = 2; b < 10; ++b) {
      const double middle = (edges[13 * i + b] + edges[13 * i + b + 1]) / 2;
      CHECK_NEAR(static_cast<double>(out[24 * i + 2 * b]), middle, 1e-6);
      CHECK_NEAR(static_cast<double>(out[24 * i + 2 * b + 1]), 1.0, 1e-6);
    }
    CHECK(out[24 * i] == 0.0f);  // no context: the outer bins have no width
  }
}

TEST(fused_confidence_is_a_product) {
  const double probability[] = {0.5, 0.25, 1.0, 0.0}, attention[] = {0.5, 1.0}, center[] = {0.5, 0.5};
  double out[4];
  CHECK(punctum_fuse_confidence(probability, attention, center, 2, 2, out, nullptr) == PUNCTUM_OK);
  CHECK(out[0] == 0.125 && out[1] == 0.0625 && out[2] == 0.5 && out[3] == 0.0);
}

TEST(nothing_in_nothing_out) {
  size_t count = 9;
  int64_t offsets[] = {0}, ends[] = {9};
  CHECK(punctum_segment_iou(nullptr, 0, nullptr, 0, 0.0, nullptr, nullptr) == PUNCTUM_OK);
  CHECK(punctum_nms(nullptr, nullptr, 0, 0.5, 0.0, nullptr, &count, nullptr) == PUNCTUM_OK && count == 0);
  CHECK(punctum_soft_nms(nullptr, nullptr, 0, 0.3, 0.0, 0.0, nullptr, nullptr, &count, nullptr) == PUNCTUM_OK);
  CHECK(punctum_adapt_boundaries(nullptr, nullptr, 0, 0.4, nullptr, nullptr) == PUNCTUM_OK);
  CHECK(punctum_suppress_groups(nullptr, nullptr, 0, offsets, 0, 0.3, 0.0, 0.0, nullptr, nullptr, ends, nullptr) ==
        PUNCTUM_OK);
  CHECK(ends[0] == 0);
  CHECK(punctum_pool_segments(nullptr, 0, 4, nullptr, 0, 6, 0.25, 1.0, nullptr, nullptr) == PUNCTUM_OK);
  CHECK(punctum_fuse_confidence(nullptr, nullptr, nullptr, 0, 3, nullptr, nullptr) == PUNCTUM_OK);
}

CHECK_MAIN
