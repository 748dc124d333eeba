// On a device: kernels against the library's CPU kernels on random batches, both timed; faults, bad offsets, graphs.
// Exit code 0 or 1, 77 without a device. `device_test 5`: seconds for random batches beyond the fixed ones; 0: no
// timings either, for runs under compute-sanitizer.
#include <cuda_runtime_api.h>

#include <chrono>
#include <functional>
#include <cmath>
#include <cstring>
#include <limits>

#include "batches.h"
#include "punctum_cuda.h"

namespace {

int failures = 0;
double most_off = 0.0;

void check(bool fine, const std::string& what) {
  if (fine) return;
  ++failures;
  std::printf("failed: %s\n", what.c_str());
}

void need(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Device memory with a guard behind it that no kernel may touch.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : bytes_(count * sizeof(T)) {
    need(cudaMalloc(&memory_, bytes_ + kGuard), "cudaMalloc");
    need(cudaMemset(memory_, kFill, bytes_ + kGuard), "cudaMemset");
    need(cudaDeviceSynchronize(), "cudaMemset");  // streams that do not block would not wait for it
  }
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    if (bytes_ > 0) need(cudaMemcpy(memory_, values.data(), bytes_, cudaMemcpyHostToDevice), "copy to the device");
    need(cudaDeviceSynchronize(), "copy to the device");
  }
  ~Array() { cudaFree(memory_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* get() const { return static_cast<T*>(memory_); }
  std::vector<T> read() const {
    std::vector<T> values(bytes_ / sizeof(T));
    if (bytes_ > 0) need(cudaMemcpy(values.data(), memory_, bytes_, cudaMemcpyDeviceToHost), "copy to the host");
    return values;
  }
  std::size_t bytes() const { return bytes_; }
  bool whole() const {
    unsigned char guard[kGuard];
    need(cudaMemcpy(guard, static_cast<char*>(memory_) + bytes_, kGuard, cudaMemcpyDeviceToHost), "copy to the host");
    for (const unsigned char byte : guard) {
      if (byte != kFill) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr unsigned char kFill = 0xA5;
  void* memory_ = nullptr;
  std::size_t bytes_;
};

// A batch on the device with all that the calls need.
struct Placed {
  explicit Placed(const Batch& b)
      : n(b.n()), groups(b.groups()), largest(b.largest), segments(b.segments), scores(b.scores), offsets(b.offsets),
        adapted(2 * n), decayed(n), index(n), out_offsets(groups + 1), fault(1), workspace(bytes_of(b)) {}

  static std::size_t bytes_of(const Batch& b) {
    punctum_error error{};
    std::size_t bytes = 0;
    ::need(punctum_cuda_workspace(b.n(), b.groups(), b.largest, &bytes, &error), error);
    return bytes;
  }
  void adapt(double threshold, cudaStream_t stream) {
    punctum_error error{};
    ::need(punctum_cuda_adapt_groups(segments.get(), scores.get(), n, offsets.get(), groups, largest, threshold,
                                     adapted.get(), workspace.get(), workspace_bytes(), stream, &error),
           error);
  }
  void suppress(double sigma, double floor, double extra, cudaStream_t stream) {
    punctum_error error{};
    ::need(punctum_cuda_suppress_groups(segments.get(), scores.get(), n, offsets.get(), groups, largest, sigma, floor,
                                        extra, index.get(), decayed.get(), out_offsets.get(), workspace.get(),
                                        workspace_bytes(), stream, &error),
           error);
  }
  std::int64_t inspect(cudaStream_t stream) {
    punctum_error error{};
    ::need(punctum_cuda_inspect(segments.get(), scores.get(), n, offsets.get(), groups, largest, fault.get(), stream,
                                &error),
           error);
    need_done(stream);
    return fault.read()[0];
  }
  static void need_done(cudaStream_t stream) { need(cudaStreamSynchronize(stream), "a kernel"); }
  std::size_t workspace_bytes() const { return workspace.bytes(); }
  bool whole() const {
    return adapted.whole() && decayed.whole() && index.whole() && out_offsets.whole() && fault.whole() &&
           workspace.whole();
  }

  std::size_t n, groups, largest;
  Array<double> segments, scores;
  Array<std::int64_t> offsets;
  Array<double> adapted, decayed;
  Array<std::int64_t> index, out_offsets, fault;
  Array<char> workspace;
};

double far_off(const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    // In steps of what the order of some thousand sums leaves, and of the rounding of a time after days.
    const double step = 1e-12 + 4e-16 * std::fabs(b[i]);
    const double off = std::fabs(a[i] - b[i]) / step;
    if (std::fabs(b[i]) < 1e4) most_off = std::max(most_off, std::fabs(a[i] - b[i]));
    most = off <= most ? most : off;
    if (off != off) return std::numeric_limits<double>::infinity();
  }
  return most;
}

bool same_picks(Placed& placed, const Picks& want, bool exactly) {
  if (placed.out_offsets.read() != want.offsets) return false;
  const std::vector<std::int64_t> index = placed.index.read();
  const std::vector<double> decayed = placed.decayed.read();
  for (std::size_t j = 0; j < static_cast<std::size_t>(want.offsets.back()); ++j) {
    if (index[j] != want.index[j]) return false;
    if (exactly ? std::memcmp(&decayed[j], &want.decayed[j], sizeof(double)) != 0
                : std::fabs(decayed[j] - want.decayed[j]) > 1e-12) {
      return false;
    }
  }
  return true;
}

double best_ms(cudaStream_t stream, int times, const std::function<void()>& work) {
  cudaEvent_t begin, end;
  need(cudaEventCreate(&begin), "an event");
  need(cudaEventCreate(&end), "an event");
  float best = std::numeric_limits<float>::infinity();
  work();
  for (int k = 0; k < times; ++k) {
    float spent = 0.0f;
    need(cudaEventRecord(begin, stream), "an event");
    work();
    need(cudaEventRecord(end, stream), "an event");
    need(cudaEventSynchronize(end), "a kernel");
    need(cudaEventElapsedTime(&spent, begin, end), "an event");
    best = std::min(best, spent);
  }
  need(cudaEventDestroy(begin), "an event");
  need(cudaEventDestroy(end), "an event");
  return static_cast<double>(best);
}

double cpu_ms(const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int k = 0; k < 3; ++k) {
    const auto began = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count());
  }
  return best;
}

void compare(const Batch& b, bool negative, cudaStream_t stream) {
  Placed placed(b);
  check(placed.inspect(stream) == PUNCTUM_CUDA_SOUND, b.name + ": found fault with a sound batch");
  if (!negative) {
    for (const double threshold : {0.0, 0.4, 0.9}) {
      placed.adapt(threshold, stream);
      Placed::need_done(stream);
      const double off = far_off(placed.adapted.read(), adapted_by_cpu(b, threshold));
      check(off <= 1.0, b.name + ": adapted ends are off by " + std::to_string(off) + " steps");
    }
  }
  const double settings[][3] = {{0.3, 0.0, 0.0}, {0.5, 0.05, 1.0}, {0.3, -1.0, 0.0}};
  for (const auto& s : settings) {
    placed.suppress(s[0], s[1], s[2], stream);
    Placed::need_done(stream);
    check(same_picks(placed, picked_by_cpu(b, s[0], s[1], s[2]), !negative || s[1] >= 0.0), b.name + ": picks differ");
  }
  check(placed.whole(), b.name + ": wrote beyond an array");
}

void time_both(const Batch& b, cudaStream_t stream) {
  Placed placed(b);
  const std::size_t bytes = placed.workspace_bytes();
  punctum_error error{};
  const double adapt = best_ms(stream, 20, [&] {
    ::need(punctum_cuda_adapt_groups(placed.segments.get(), placed.scores.get(), placed.n, placed.offsets.get(),
                                     placed.groups, placed.largest, 0.4, placed.adapted.get(), placed.workspace.get(),
                                     bytes, stream, &error),
           error);
  });
  const double pick = best_ms(stream, 20, [&] {
    ::need(punctum_cuda_suppress_groups(placed.segments.get(), placed.scores.get(), placed.n, placed.offsets.get(),
                                        placed.groups, placed.largest, 0.3, 0.001, 0.0, placed.index.get(),
                                        placed.decayed.get(), placed.out_offsets.get(), placed.workspace.get(), bytes,
                                        stream, &error),
           error);
  });
  const double cpu_adapt = cpu_ms([&] { adapted_by_cpu(b, 0.4); });
  const double cpu_pick = cpu_ms([&] { picked_by_cpu(b, 0.3, 0.001, 0.0); });
  std::printf("%-14s %8zu %8zu %8zu %10.3f %10.3f %7.1fx %10.3f %10.3f %7.1fx\n", b.name.c_str(), b.groups(), b.n(),
              b.largest, adapt, cpu_adapt, cpu_adapt / adapt, pick, cpu_pick, cpu_pick / pick);
}

void find_faults(cudaStream_t stream) {
  const Batch sound = draw({"faults", 10, 40, 60, 0.5, 0.0, 0.0, 0.0}, 3);
  const auto found = [&](const std::function<void(Batch&)>& spoil) {
    Batch b = sound;
    spoil(b);
    Placed placed(b);
    return placed.inspect(stream);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  check(found([&](Batch& b) { b.segments[2 * 17 + 1] = nan; }) == 8 * 17 + 0, "NaN in segments");
  check(found([&](Batch& b) { std::swap(b.segments[2 * 17], b.segments[2 * 17 + 1]); }) == 8 * 17 + 1, "swapped");
  check(found([&](Batch& b) { b.scores[17] = HUGE_VAL, b.scores[300] = nan; }) == 8 * 17 + 2, "an infinite score");
  check(found([&](Batch& b) { std::swap(b.offsets[3], b.offsets[5]), b.largest = b.n(); }) == 8 * 3 + 3,
        "offsets that go back");
  check(found([&](Batch& b) { b.offsets[0] = 1; }) == 3, "offsets that begin late");
  check(found([&](Batch& b) { b.largest = 20; }) % 8 == 4, "a group above largest");
}

void survive_bad_offsets(cudaStream_t stream) {
  const std::int64_t huge = std::int64_t{1} << 62;
  for (const auto& middle : std::vector<std::vector<std::int64_t>>{
           {0, 900, 100, 1000}, {-5, 20, 30, 1000}, {0, huge, -huge, 1000}, {0, 0, 0, 5000}, {700, 100, 800, 50}}) {
    Batch b = draw({"bad offsets", 1, 1000, 1000, 0.1, 0.0, 0.0, 0.0}, 5);
    b.offsets = middle;
    for (const std::size_t largest : {std::size_t{50}, std::size_t{1000}}) {
      b.largest = largest;
      Placed placed(b);
      placed.adapt(0.4, stream);
      placed.suppress(0.3, 0.0, 0.0, stream);
      Placed::need_done(stream);
      check(placed.whole(), "bad offsets: wrote beyond an array");
    }
  }
  const Batch b = draw({"NaN", 4, 100, 200, 0.1, 0.0, 0.0, 0.0}, 6);
  Batch spoiled = b;
  for (std::size_t i = 0; i < b.n(); i += 3) spoiled.segments[2 * i] = spoiled.scores[i] = std::nan("");
  Placed placed(spoiled);
  placed.adapt(0.4, stream);
  placed.suppress(0.3, 0.0, 0.0, stream);
  Placed::need_done(stream);
  check(placed.whole(), "NaN: wrote beyond an array");
}

void capture(cudaStream_t stream) {
  const Batch b = draw({"graph", 300, 1, 300, 0.5, 0.0, 0.0, 0.0}, 9);
  Placed placed(b);
  const std::size_t bytes = placed.workspace_bytes();
  punctum_error error{};
  cudaGraph_t graph;
  cudaGraphExec_t run;
  need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "begin of a capture");
  ::need(punctum_cuda_adapt_groups(placed.segments.get(), placed.scores.get(), placed.n, placed.offsets.get(),
                                   placed.groups, placed.largest, 0.4, placed.adapted.get(), placed.workspace.get(),
                                   bytes, stream, &error),
         error);
  // Suppression of what was adapted, as post-processing does it.
  ::need(punctum_cuda_suppress_groups(placed.adapted.get(), placed.scores.get(), placed.n, placed.offsets.get(),
                                      placed.groups, placed.largest, 0.3, 0.0, 0.0, placed.index.get(),
                                      placed.decayed.get(), placed.out_offsets.get(), placed.workspace.get(), bytes,
                                      stream, &error),
         error);
  need(cudaStreamEndCapture(stream, &graph), "end of a capture");
  need(cudaGraphInstantiate(&run, graph, 0), "a graph");
  for (int k = 0; k < 3; ++k) need(cudaGraphLaunch(run, stream), "a graph");
  Placed::need_done(stream);
  Batch adapted = b;
  adapted.segments = placed.adapted.read();
  check(far_off(adapted.segments, adapted_by_cpu(b, 0.4)) <= 1.0, "graph: adapted ends differ");
  check(same_picks(placed, picked_by_cpu(adapted, 0.3, 0.0, 0.0), true), "graph: picks differ");
  need(cudaGraphExecDestroy(run), "a graph");
  need(cudaGraphDestroy(graph), "a graph");
}

void refuse_host_memory() {
  punctum_error error{};
  std::vector<double> host(64);
  Array<double> device(64);
  Array<std::int64_t> offsets(std::vector<std::int64_t>{0, 8});
  const auto status = punctum_cuda_adapt_groups(host.data(), device.get(), 8, offsets.get(), 1, 8, 0.4, device.get(),
                                                device.get(), 512, nullptr, &error);
  check(status == PUNCTUM_ERROR_DEVICE && std::strcmp(error.code, "host-memory") == 0, "memory of the host");
}

int ended(cudaStream_t stream) {
  need(cudaStreamDestroy(stream), "a stream");
  std::printf(failures ? "%d failures\n" : "fine\n", failures);
  return failures ? 1 : 0;
}

}  // namespace

int main(int count, char** words) {
  punctum_error error{};
  std::int32_t devices = 0;
  if (punctum_cuda_available(&devices, &error) != PUNCTUM_OK) {
    std::printf("skipped: %s\n", error.message);
    return 77;
  }
  cudaDeviceProp device{};
  need(cudaGetDeviceProperties(&device, 0), "a device");
  std::printf("%s, capability %d.%d, CUDA runtime %d\n", device.name, device.major, device.minor, CUDART_VERSION);
  cudaStream_t stream;
  need(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");

  const Shape shapes[] = {
      {"small", 2000, 0, 24, 1.0, 0.0, 0.0, 0.0},     {"middle", 300, 100, 300, 0.5, 0.0, 0.0, 0.0},
      {"large", 20, 1000, 1600, 0.1, 0.0, 0.0, 0.0},  {"spilled", 3, 1530, 3000, 0.2, 0.0, 0.0, 0.0},
      {"crowded", 50, 120, 140, 0.01, 0.0, 0.0, 0.0}, {"ties", 500, 1, 400, 0.2, 0.25, 0.0, 0.0},
      {"sparse", 100, 50, 200, 9.0, 0.0, 0.0, 0.0},   {"for days", 100, 5, 300, 0.5, 0.0, 0.0, 864e3},
      {"negative", 100, 5, 300, 0.5, 0.0, -0.5, 0.0}, {"one", 1, 1, 1, 1.0, 0.0, 0.0, 0.0},
      {"empty", 7, 0, 0, 1.0, 0.0, 0.0, 0.0}};
  std::uint64_t seed = 100;
  for (const Shape& shape : shapes) compare(draw(shape, ++seed), shape.low < 0.0, stream);
  for (const Shape& shape : {shapes[0], shapes[1], shapes[5]}) compare(draw(shape, ++seed), false, nullptr);
  find_faults(stream);
  survive_bad_offsets(stream);
  capture(stream);
  refuse_host_memory();

  const double seconds = count > 1 ? std::atof(words[1]) : 0.0;
  const auto began = std::chrono::steady_clock::now();
  int more = 0;
  std::mt19937_64 generator(11);
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() < seconds) {
    const std::size_t most = std::size_t{1} << (generator() % 11);
    Shape shape{"random", 1 + generator() % 200, 0, most, 0.01 * static_cast<double>(generator() % 200),
                generator() % 3 == 0 ? 0.25 : 0.0, 0.0, generator() % 4 == 0 ? 1e6 : 0.0};
    compare(draw(shape, ++seed), false, stream);
    ++more;
  }
  std::printf("%zu batches, %d random ones; ends adapted are off by at most %.2g s beside rounding\n",
              sizeof shapes / sizeof *shapes + 3, more, most_off);

  if (count > 1 && seconds <= 0.0) return ended(stream);

  std::printf("%-14s %8s %8s %8s %10s %10s %8s %10s %10s %8s\n", "ms, best", "groups", "members", "largest", "ABA",
              "ABA CPU", "", "soft-NMS", "CPU", "");
  const Shape timed[] = {
      {"20000 x 24", 20000, 8, 40, 0.5, 0.0, 0.0, 0.0}, {"2000 x 100", 2000, 80, 120, 0.5, 0.0, 0.0, 0.0},
      {"500 x 400", 500, 300, 500, 0.3, 0.0, 0.0, 0.0}, {"132 x 1500", 132, 1450, 1536, 0.1, 0.0, 0.0, 0.0},
      {"8 x 4000", 8, 4000, 4000, 0.1, 0.0, 0.0, 0.0},  {"1 x 200", 1, 200, 200, 0.5, 0.0, 0.0, 0.0}};
  for (const Shape& shape : timed) time_both(draw(shape, ++seed), stream);

  return ended(stream);
}
