// The state machine of one stream, without input and output. Where the Python session is a generator that yields jobs,
// this one stops at a want and continues with its answer.
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

// A request to the engine; borrowed pointers are valid until the next change.
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

  // Input. On Failure nothing has changed.
  void push(const float* features, const float* tracks, Index count, const double* at, const std::vector<LostFrames>& lost);
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
  const Plan& plan() const { return *plan_; }  // as used by this session
  const std::string& stream() const { return options_.stream; }
  const Counts& counts() const { return counts_; }
  std::size_t waiting_events() const { return events_.size() - polled_; }
  double now_s() const { return start_s_ + static_cast<double>(features_.end()) * plan_->stride_s; }
  double look_ahead_s() const { return plan_->look_ahead_s() + static_cast<double>(hop_ - 1) * plan_->stride_s; }
  Index keep_from() const { return offset_ + features_.base(); }
  std::size_t bytes() const;
  bool closed() const { return closed_; }

  // The complete state that determines later events.
  std::vector<unsigned char> freeze() const;
  static std::unique_ptr<Session> thaw(std::shared_ptr<const Plan> plan, const unsigned char* bytes, std::size_t size);

 private:
  // Where the machine continues: in the current call (Task), and within an advance of the stream (Step).
  enum class Task { none, after_break, chunk, after_flush };
  enum class Step { none, locate, score, finish, provisional, report };

  struct Prepared {
    Island island;
    Index low = 0;            // first snippet of its window
    Proposals proposals;
    std::vector<double> scores;  // fused, once known
    bool asked = false;          // needs scores from the engine
  };

  void require_ready() const;
  void begin();
  void name_run();
  void run();
  void set_failed();
  void add_lost_frames();
  bool chunk_step();
  void begin_advance(bool final, bool ticks, Index lost);
  bool advance();
  bool locate();
  void find();
  void prepare_ready();
  bool ask_score();
  void finish_ready();
  bool prepare_provisional();
  void report_provisional();
  std::vector<Island> islands_so_far() const;
  const float* tracks_between(Index low, Index high, std::vector<float>& joined) const;
  Index provisional_low(const Island& island) const;
  Index provisional_high(const Island& island) const;
  bool any_activity() const;
  void forget();
  void retract_all();
  const PostProcess& post() const { return degraded_advance_ ? reduced_ : plan_->post; }
  Section section(Index lost) const;
  Index classes() const { return plan_->classes(); }

  std::shared_ptr<const Plan> plan_;  // in tracks mode without receptive field, which counts as overhang
  std::shared_ptr<const Plan> original_plan_;
  Options options_;
  std::string prefix_;  // prefix of event ids
  Index resets_ = 0;
  PostProcess reduced_;
  Index context_ = 0, longest_ = 0, tick_ = 0, hop_ = 1;

  // The stream.
  double start_s_ = 0.0;
  Index offset_ = 0;  // snippets pushed before this section
  Index serial_ = 0, broken_ = 0;
  bool taken_ = false, closed_ = false, degraded_ = false, failed_ = false;
  Reporter reporter_;
  Counts counts_;

  // The current section.
  Rows features_, tracks_, pushed_;
  std::vector<float> provisional_;  // provisional tracks of the snippets after tracks_
  std::vector<IslandFinder> finders_;
  std::vector<Island> waiting_;
  std::vector<LostFrames> lost_frames_;
  Index advanced_ = 0;

  // The call in progress.
  Task task_ = Task::none;
  Step step_ = Step::none;
  const float* chunk_features_ = nullptr;
  const float* chunk_tracks_ = nullptr;
  std::vector<float> own_features_, own_tracks_;  // copy of a chunk while a want is open
  Index chunk_count_ = 0, chunk_done_ = 0;
  std::vector<LostFrames> chunk_lost_;
  double break_at_ = 0.0;
  bool final_ = false, ticks_ = false, degraded_advance_ = false;
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
