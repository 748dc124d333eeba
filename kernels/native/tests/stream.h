// Sessions for tests: a manifest, tracks with actions in them, an engine of a few lines, and what a session said.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "punctum.h"

namespace stream {

struct FreePlan {
  void operator()(punctum_plan* plan) const { punctum_plan_free(plan); }
};
struct FreeSession {
  void operator()(punctum_session* session) const { punctum_session_free(session); }
};
using PlanPtr = std::unique_ptr<punctum_plan, FreePlan>;
using SessionPtr = std::unique_ptr<punctum_session, FreeSession>;

constexpr std::size_t kClasses = 3, kWidth = kClasses + 1, kDim = 4;

// Three classes, ten snippets a second; `post` holds more members of that object, each with a comma before it.
inline std::string manifest(const std::string& post = "") {
  return R"({"schema": "1.0", "id": "test-1", "labels": ["a", "b", "c"], "features": {"dim": 4, "stride_s": 0.1},)"
         R"( "locator": {"file": "locator.onnx", "left": 3, "right": 2}, "center": {"file": "center.onnx"},)"
         R"( "post": {"right_context_s": 0.5, "max_island_s": 3.0, "class_thresholds": [0.2, 0.4, 0.6, 0.8])" +
         post + "}}";
}

inline const char* with_head() {
  return R"(, "fusion": {"class_probability": 1, "attention": 1, "center": 1, "contrast": 1})";
}

inline PlanPtr plan(const std::string& text) {
  punctum_plan* made = nullptr;
  punctum_plan_from_manifest(text.data(), text.size(), &made, nullptr);
  return PlanPtr(made);
}

inline SessionPtr open(const punctum_plan* plan, const punctum_session_options& options) {
  punctum_session* made = nullptr;
  punctum_session_create(plan, &options, &made, nullptr);
  return SessionPtr(made);
}

// A generator whose numbers are the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2862933555777941757u + 3037000493u) {}
  std::uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33);
  }
  std::uint32_t below(std::uint32_t limit) { return next() % limit; }
  float unit() { return static_cast<float>(next() & 0xFFFFFF) / 16777216.0f; }

 private:
  std::uint64_t state_;
};

// Rows [count, 4]: quiet, with plateaus of all lengths in the three class tracks, and the highest as actionness.
inline std::vector<float> tracks(std::uint64_t seed, std::size_t count) {
  Random random(seed);
  std::vector<float> rows(count * kWidth);
  for (float& value : rows) value = 0.15f * random.unit();
  for (std::size_t at = 0; at < count;) {
    const std::size_t sizes[] = {1, 3, 8, 20, 45}, size = sizes[random.below(5)], label = random.below(kClasses);
    const float high = 0.3f + 0.6f * random.unit();
    for (std::size_t t = at; t < std::min(at + size, count); ++t) rows[t * kWidth + label] = high - 0.1f * random.unit();
    at += size + random.below(15);
  }
  for (std::size_t t = 0; t < count; ++t) {
    float* row = rows.data() + t * kWidth;
    row[kClasses] = std::max(row[0], std::max(row[1], row[2]));
  }
  return rows;
}

// What was said, one line of JSON an event.
inline bool poll(punctum_session* session, std::vector<std::string>& said) {
  punctum_event event = PUNCTUM_EVENT_INIT;
  punctum_status status;
  while ((status = punctum_poll(session, &event, nullptr)) == PUNCTUM_OK) {
    char text[1024];
    size_t needed = 0;
    if (punctum_event_to_json(&event, text, sizeof text, &needed, nullptr) != PUNCTUM_OK) return false;
    said.emplace_back(text);
  }
  return status == PUNCTUM_EMPTY;
}

// Answer all wants: the locator returns the features' columns, the scorer likes short actions. Then poll.
inline bool serve(punctum_session* session, std::vector<std::string>& said) {
  punctum_want want = PUNCTUM_WANT_INIT;
  punctum_status status;
  while ((status = punctum_next_want(session, &want, nullptr)) == PUNCTUM_OK) {
    if (want.kind == PUNCTUM_WANT_LOCATE) {
      const std::vector<float> rows(want.features, want.features + want.rows * kDim);
      if (punctum_answer_locate(session, rows.data(), want.rows, kWidth, nullptr) != PUNCTUM_OK) return false;
      continue;
    }
    std::vector<float> probability(want.count * kClasses, 0.75f), attention(want.count, 1.0f), center(want.count);
    for (size_t i = 0; i < want.count; ++i) {
      center[i] = 1.0f / (1.0f + 0.02f * (want.segments[2 * i + 1] - want.segments[2 * i]));
    }
    if (punctum_answer_score(session, probability.data(), attention.data(), center.data(), want.count, kClasses,
                             nullptr) != PUNCTUM_OK)
      return false;
  }
  return status == PUNCTUM_EMPTY && poll(session, said);
}

}  // namespace stream
