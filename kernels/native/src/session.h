// The state machine of one stream, without input and output: what Python writes as generators that yield jobs is here
// a machine that stops at a want and goes on with its answer.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "event.h"
#include "islands.h"
#include "plan.h"
#include "post.h"
#include "reporter.h"
#include "rows.h"

namespace punctum {

constexpr double kMaxMediaS = 17179869184.0;  // 2^34: the range of media times, see punctum.h

struct Options {
  std::string stream, run_id;
  double start_s = 0.0;
  bool windows = false, keep_features = false;
  LiveOptions live;
};

struct Counts {
  Index pushed = 0, islands = 0, finals = 0, gaps = 0, dropped = 0;
};

// What is asked of the engine; borrowed pointers hold until the next change.
struct Want {
  std::int32_t kind = PUNCTUM_WANT_NOTHING;
  bool inner = false;
  Index first = 0, rows = 0;
  const float* features = nullptr;
  const float* tracks = nullptr;
  std::vector<float> segments;
  std::vector<Index> labels;
};

class Session {
 public:
  Session(std::shared_ptr<const Plan> plan, Options options);

  // Input. Each throws Failure, and then nothing has changed.
  void push(const float* features, const float* tracks, Index count, const double* at, const std::vector<Hole>& lost);
  void flush();
  void reset(double start_s);
  void abandon();
  void answer_locate(const float* tracks, Index rows);
  void answer_score(const Head& head, Index count);
  void degrade(bool on) { degraded_ = on; }
  bool keeps_features() const { return options_.keep_features; }
  bool takes_windows() const { return options_.windows; }

  // Output.
  const Want& want() const { return want_; }
  bool next_event(Event& event);
  const Plan& plan() const { return *plan_; }  // as this session uses it
  const std::string& stream() const { return options_.stream; }
  const Counts& counts() const { return counts_; }
  std::size_t waiting_events() const { return events_.size() - polled_; }
  double now_s() const { return start_s_ + static_cast<double>(features_.end()) * plan_->stride_s; }
  double look_ahead_s() const { return plan_->look_ahead_s() + static_cast<double>(hop_ - 1) * plan_->stride_s; }
  Index keep_from() const { return offset_ + features_.base(); }
  std::size_t bytes() const;
  bool closed() const { return closed_; }

  // All that decides what the session will say from here on.
  std::vector<unsigned char> freeze() const;
  static std::unique_ptr<Session> thaw(std::shared_ptr<const Plan> plan, const unsigned char* bytes, std::size_t size);

 private:
  // Where the machine goes on: outside (the call that is worked off), and inside a look at the stream.
  enum class Task { none, after_break, chunk, after_flush };
  enum class Step { none, locate, score, finish, guess, say };

  struct Prepared {
    Island island;
    Index low = 0;            // first snippet of its window
    Proposals found;
    std::vector<double> scores;  // fused, once they are known
    bool asked = false;          // the engine is asked
  };

  void require_ready() const;
  void begin();
  void name_run();
  void run();
  void give_up();
  void add_holes();
  bool chunk_step();
  void look(bool final, bool ticks, Index lost);
  bool advance();
  bool locate();
  void find();
  void prepare_ready();
  bool ask_score();
  void conclude_ready();
  bool prepare_guess();
  void say_guess();
  std::vector<Island> guessed_islands() const;
  const float* tracks_between(Index low, Index high, std::vector<float>& joined) const;
  Index guess_low(const Island& island) const;
  Index guess_high(const Island& island) const;
  bool stirs() const;
  void forget();
  void say_swept();
  const PostProcess& post() const { return degraded_look_ ? haste_ : plan_->post; }
  Stretch stretch(Index lost) const;
  Index classes() const { return plan_->classes(); }

  std::shared_ptr<const Plan> plan_;  // in tracks mode without receptive field: what it sees counts as overhang
  std::shared_ptr<const Plan> given_;
  Options options_;
  std::string prefix_;  // how event ids begin
  Index resets_ = 0;
  PostProcess haste_;
  Index context_ = 0, longest_ = 0, tick_ = 0, hop_ = 1;

  // The stream.
  double start_s_ = 0.0;
  Index offset_ = 0;  // snippets pushed before this stretch
  Index serial_ = 0, broken_ = 0;
  bool taken_ = false, closed_ = false, degraded_ = false, failed_ = false;
  Reporter reporter_;
  Counts counts_;

  // The stretch.
  Rows features_, tracks_, pushed_;
  std::vector<float> tail_;  // guessed tracks of the snippets after tracks_
  std::vector<IslandFinder> finders_;
  std::vector<Island> waiting_;
  std::vector<Hole> holes_;
  Index looked_ = 0;

  // What is being worked off.
  Task task_ = Task::none;
  Step step_ = Step::none;
  const float* chunk_features_ = nullptr;
  const float* chunk_tracks_ = nullptr;
  std::vector<float> own_features_, own_tracks_;  // the rest of a chunk while a want is open
  Index chunk_count_ = 0, chunk_done_ = 0;
  std::vector<Hole> chunk_lost_;
  double break_at_ = 0.0;
  bool final_ = false, ticks_ = false, degraded_look_ = false;
  Index lost_ = 0, first_new_ = 0, locate_at_ = 0, locate_limit_ = 0, locate_reach_ = 0, locate_known_ = 0;
  Index window_low_ = 0;  // of the open locator window
  std::vector<Prepared> prepared_;
  std::size_t asking_ = 0;
  std::vector<Span> alive_;
  Want want_;
  std::vector<float> want_tracks_;
  std::vector<Event> events_;
  std::size_t polled_ = 0;
};

}  // namespace punctum
