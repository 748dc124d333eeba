// Calls on a session, in any order, with any sizes and values that a caller's memory can hold. Whatever is said, a
// session that is thawed from its snapshot says the same from there on.
#include "input.h"
#include "stream.h"

namespace {

const char* kPosts[] = {
    "", R"(, "fusion": {"class_probability": 1, "attention": 1, "center": 1, "contrast": 1})",
    R"(, "suppression": "hard", "actionness_thresholds": [0.5], "max_proposals": 5, "fusion": {"base": 2, "center": 0.5})",
    R"(, "suppression": "none", "adapt": false, "contrast_margin": 0, "max_island_s": 0.4, "min_score": 0)"};

struct Both {
  stream::SessionPtr one, two;  // two: thawed from a snapshot, gets the same calls
};

class Caller {
 public:
  Caller(Input& in, const punctum_plan* plan) : in_(in), plan_(plan) {}

  void run() {
    punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
    options.stream = "s";
    options.mode = static_cast<std::int32_t>(in_.below(2));
    options.keep_features = static_cast<std::int32_t>(in_.below(2));
    const double delays[] = {0.0, 0.1, 0.7, 3.0}, ticks[] = {0.0, 0.05, 1.0, 1e300};
    options.max_delay_s = delays[in_.below(4)];
    options.tick_s = ticks[in_.below(4)];
    options.start_s = in_.below(8) == 0 ? in_.any_double() : 0.0;
    windows_ = options.mode == PUNCTUM_MODE_WINDOWS;
    keep_ = options.keep_features == 1;
    punctum_error error = {};
    punctum_session* made = nullptr;
    if (sound(punctum_session_create(plan_, &options, &made, &error), error) != PUNCTUM_OK) return;
    both_.one.reset(made);
    for (int calls = 0; calls < 60 && !in_.empty(); ++calls) call();
  }

 private:
  template <class Call>
  punctum_status each(Call call) {
    punctum_error error = {};
    const punctum_status status = sound(call(both_.one.get(), &error), error);
    if (both_.two) HOLD(call(both_.two.get(), &error) == status);
    return status;
  }

  void call() {
    switch (in_.below(14)) {
      case 0: case 1: case 2: case 3: case 4: push(); break;
      case 5: case 6: case 7: answer(); break;
      case 8: compare(); break;
      case 9: snapshot(); break;
      case 10: {
        const double at = in_.below(4) ? now() + in_.byte() / 8.0 : in_.any_double();
        each([at](punctum_session* s, punctum_error* e) { return punctum_gap(s, at, e); });
        break;
      }
      case 11: {
        const int on = static_cast<int>(in_.below(2));
        each([on](punctum_session* s, punctum_error* e) { return punctum_set_degraded(s, on, e); });
        break;
      }
      case 12:
        each([](punctum_session* s, punctum_error* e) { return punctum_flush(s, e); });
        break;
      default:
        if (in_.below(4) == 0) each([](punctum_session* s, punctum_error* e) { return punctum_reset(s, 1.5, e); });
    }
  }

  double now() {
    punctum_session_info info = PUNCTUM_SESSION_INFO_INIT;
    HOLD(punctum_session_describe(both_.one.get(), &info, nullptr) == PUNCTUM_OK);
    HOLD(info.state_bytes < std::size_t{1} << 26);
    return info.now_s;
  }

  void push() {
    punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
    chunk.count = in_.below(32);
    std::vector<float> rows(chunk.count * stream::kWidth);
    const bool flat = in_.below(2) != 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i] = flat && i >= stream::kWidth ? rows[i - stream::kWidth] : in_.track();
    }
    const bool wrong = in_.below(16) == 0;
    if (!windows_ != wrong) chunk.tracks = rows.data();
    if (keep_ != wrong) chunk.features = rows.data();
    punctum_loss lost = {static_cast<int64_t>(in_.below(40)) - 2, in_.below(8)};
    if (in_.below(4) == 0) chunk.lost = &lost, chunk.lost_count = 1;
    if (in_.below(4) == 0) chunk.has_at = 1, chunk.at_s = now() + (in_.byte() - 64) / 40.0;
    if (in_.below(64) == 0) chunk.count = in_.below(2) ? SIZE_MAX : 0;
    if (rows.empty()) chunk.tracks = chunk.features = nullptr;
    each([&chunk](punctum_session* s, punctum_error* e) { return punctum_push(s, &chunk, e); });
  }

  void answer() {
    punctum_want want = PUNCTUM_WANT_INIT, other = PUNCTUM_WANT_INIT;
    if (punctum_next_want(both_.one.get(), &want, nullptr) != PUNCTUM_OK) return;
    if (both_.two) {
      HOLD(punctum_next_want(both_.two.get(), &other, nullptr) == PUNCTUM_OK);
      HOLD(want.kind == other.kind && want.rows == other.rows && want.first == other.first && want.count == other.count);
    }
    HOLD(want.rows > 0 && want.rows < 1u << 20 && want.first >= 0 && (want.features != nullptr) == keep_);
    const std::size_t shift = in_.below(16) == 0 ? in_.below(3) : 0;
    if (want.kind == PUNCTUM_WANT_LOCATE) {
      std::vector<float> rows((want.rows + shift) * stream::kWidth);
      const float level = in_.track();
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i % 7 < 5 ? level : in_.track();
      each([&](punctum_session* s, punctum_error* e) {
        return punctum_answer_locate(s, rows.data(), want.rows + shift, stream::kWidth, e);
      });
      return;
    }
    HOLD(want.count > 0 && want.tracks);
    for (std::size_t i = 0; i < want.count; ++i) {
      HOLD(want.segments[2 * i] <= want.segments[2 * i + 1] && want.labels[i] >= 0 && want.labels[i] < 3);
      HOLD(want.segments[2 * i] >= -0.5f && want.segments[2 * i + 1] <= static_cast<float>(want.rows));
    }
    std::vector<double> edges(want.count * 7);
    HOLD(punctum_want_bins(both_.one.get(), 6, edges.data(), edges.size(), nullptr) == PUNCTUM_OK);
    std::vector<float> head((want.count + shift) * 3);
    for (float& value : head) value = in_.empty() ? 0.5f : in_.track();
    each([&](punctum_session* s, punctum_error* e) {
      return punctum_answer_score(s, head.data(), head.data(), head.data(), want.count + shift, 3, e);
    });
  }

  void compare() {
    std::vector<std::string> a, b;
    HOLD(stream::poll(both_.one.get(), a));
    if (!both_.two) return;
    HOLD(stream::poll(both_.two.get(), b));
    HOLD(a == b);
  }

  void snapshot() {
    compare();
    size_t needed = 0, same = 0;
    if (punctum_snapshot(both_.one.get(), nullptr, 0, &needed, nullptr) != PUNCTUM_ERROR_CAPACITY) return;
    std::vector<unsigned char> bytes(needed), again(needed);
    HOLD(punctum_snapshot(both_.one.get(), bytes.data(), needed, &needed, nullptr) == PUNCTUM_OK);
    punctum_session* made = nullptr;
    punctum_error error = {};
    const punctum_status status = punctum_session_restore(plan_, bytes.data(), needed, &made, &error);
    if (status != PUNCTUM_OK) std::fprintf(stderr, "%s %s\n", error.code, error.message);
    HOLD(status == PUNCTUM_OK);
    both_.two.reset(made);
    HOLD(punctum_snapshot(made, again.data(), needed, &same, nullptr) == PUNCTUM_OK && same == needed && bytes == again);
  }

  Input& in_;
  const punctum_plan* plan_;
  Both both_;
  bool windows_ = false, keep_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<stream::PlanPtr>& plans = *[] {
    auto* made = new std::vector<stream::PlanPtr>;
    for (const char* post : kPosts) made->push_back(stream::plan(stream::manifest(post)));
    return made;
  }();
  Input in(data, size);
  Caller(in, plans[in.below(4)].get()).run();
  return 0;
}
