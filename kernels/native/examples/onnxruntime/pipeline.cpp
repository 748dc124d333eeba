// Events from features, with ONNX Runtime running the two graphs of a bundle and libpunctum doing the rest.
//
//   pipeline BUNDLE FEATURES [MAX_DELAY_S]
//
// BUNDLE is a bundle folder, FEATURES a file of raw float32 rows. Events go to standard output as JSON Lines: those of
// `punctum run BUNDLE FEATURES.npy`, and with MAX_DELAY_S those of `punctum run --stream --max-delay MAX_DELAY_S`.
#include <onnxruntime_cxx_api.h>
#include <punctum.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using Floats = std::vector<float>;

static punctum_error error;

// PUNCTUM_OK is true, PUNCTUM_EMPTY false, and an error throws.
static bool ok(punctum_status status) {
  if (status < 0) throw std::runtime_error(error.message);
  return status == PUNCTUM_OK;
}

static std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

static Floats copy(Ort::Value& value) {
  const float* first = value.GetTensorData<float>();
  return {first, first + value.GetTensorTypeAndShapeInfo().GetElementCount()};
}

// The two graphs of a bundle. Their inputs and outputs are described in docs/reference/graphs.md.
class Engine {
 public:
  Engine(const std::string& bundle, const punctum_plan_info& plan)
      : plan_(plan), locator_(env_, (bundle + "/locator.onnx").c_str(), options()) {
    stacked_ = locator_.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetDimensionsCount() == 3;
    if (plan.has_center) scorer_.emplace(env_, (bundle + "/center.onnx").c_str(), options());
  }

  // Tracks of a window [rows, C + 1]: the class tracks, then actionness.
  Floats locate(const punctum_want& want) {
    const char* inputs[] = {"features"};
    const char* outputs[] = {"class_track", "actionness"};
    const std::vector<int64_t> window{rows(want), columns()}, stack{1, rows(want), columns()};
    auto features = tensor(want.features, stacked_ ? stack : window);
    auto result = locator_.Run(Ort::RunOptions{}, inputs, &features, 1, outputs, 2);
    const Floats track = copy(result[0]), actionness = copy(result[1]);
    Floats tracks;
    for (size_t row = 0; row < want.rows; ++row) {
      const auto first = track.begin() + static_cast<std::ptrdiff_t>(row * plan_.classes);
      tracks.insert(tracks.end(), first, first + static_cast<std::ptrdiff_t>(plan_.classes));
      tracks.push_back(actionness[row]);
    }
    return tracks;
  }

  // Class probability [count, C], attention [count] and center score [count] of the proposals in a window.
  std::array<Floats, 3> score(const punctum_want& want) {
    const auto count = static_cast<int64_t>(want.count);
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<std::string> names;
    std::vector<const char*> inputs;
    std::vector<Ort::Value> values;
    for (size_t i = 0; i < scorer_->GetInputCount(); ++i) names.push_back(scorer_->GetInputNameAllocated(i, allocator).get());
    for (const std::string& name : names) {  // a graph takes those of the four that it needs
      inputs.push_back(name.c_str());
      if (name == "features") values.push_back(tensor(want.features, {rows(want), columns()}));
      else if (name == "tracks") values.push_back(tensor(want.tracks, {rows(want), static_cast<int64_t>(plan_.classes + 1)}));
      else if (name == "segments") values.push_back(tensor(want.segments, {count, 2}));
      else if (name == "labels") values.push_back(tensor(want.labels, {count}));
      else throw std::runtime_error("the scorer has an unknown input " + name);
    }
    const char* outputs[] = {"class_probability", "attention", "center"};
    auto result = scorer_->Run(Ort::RunOptions{}, inputs.data(), values.data(), values.size(), outputs, 3);
    return {copy(result[0]), copy(result[1]), copy(result[2])};
  }

 private:
  static Ort::SessionOptions options() {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);  // for a GPU: options.AppendExecutionProvider_CUDA(...)
    options.SetGraphOptimizationLevel(GraphOptimizationLevel::ORT_ENABLE_ALL);
    return options;
  }
  // A tensor over the memory of a want; ONNX Runtime does not write to its inputs.
  template <class T>
  Ort::Value tensor(const T* data, const std::vector<int64_t>& shape) const {
    size_t size = 1;
    for (int64_t extent : shape) size *= static_cast<size_t>(extent);
    return Ort::Value::CreateTensor<T>(memory_, const_cast<T*>(data), size, shape.data(), shape.size());
  }
  static int64_t rows(const punctum_want& want) { return static_cast<int64_t>(want.rows); }
  int64_t columns() const { return static_cast<int64_t>(plan_.dim); }

  punctum_plan_info plan_;
  Ort::Env env_{ORT_LOGGING_LEVEL_WARNING, "pipeline"};
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::Session locator_;
  std::optional<Ort::Session> scorer_;
  bool stacked_ = true;  // the locator takes windows [B, T, dim]; older bundles take one window [T, dim]
};

// Answers everything the session asks for, then prints the events that follow from it.
static void serve(punctum_session* session, Engine& engine, size_t classes) {
  for (punctum_want want = PUNCTUM_WANT_INIT; ok(punctum_next_want(session, &want, &error));) {
    if (want.kind == PUNCTUM_WANT_LOCATE) {
      const Floats tracks = engine.locate(want);
      ok(punctum_answer_locate(session, tracks.data(), want.rows, classes + 1, &error));
    } else {
      const auto [probability, attention, center] = engine.score(want);
      ok(punctum_answer_score(session, probability.data(), attention.data(), center.data(), want.count, classes, &error));
    }
  }
  std::array<char, 4096> line;
  size_t needed = 0;
  for (punctum_event event = PUNCTUM_EVENT_INIT; ok(punctum_poll(session, &event, &error));) {
    if (ok(punctum_event_to_json(&event, line.data(), line.size(), &needed, &error))) std::puts(line.data());
  }
}

struct Free {
  void operator()(punctum_plan* plan) const { punctum_plan_free(plan); }
  void operator()(punctum_session* session) const { punctum_session_free(session); }
};

int main(int count, char** words) try {
  if (count != 3 && count != 4) throw std::runtime_error("usage: pipeline BUNDLE FEATURES [MAX_DELAY_S]");
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);  // the makers' builds of ONNX Runtime would report their use from 1.29 on
  const std::string bundle = words[1], manifest = read(bundle + "/manifest.json"), bytes = read(words[2]);

  punctum_plan* plan_handle = nullptr;
  punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
  ok(punctum_plan_from_manifest(manifest.data(), manifest.size(), &plan_handle, &error));
  const std::unique_ptr<punctum_plan, Free> plan(plan_handle);
  ok(punctum_plan_describe(plan.get(), &info, &error));
  if (bytes.size() % (info.dim * sizeof(float)) != 0) throw std::runtime_error("the file does not hold whole rows");
  Floats rows(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<char*>(rows.data()));

  Engine engine(bundle, info);
  punctum_session* session_handle = nullptr;
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.mode = PUNCTUM_MODE_WINDOWS;  // the session asks for locator windows by itself
  options.keep_features = 1;
  options.max_delay_s = count == 4 ? std::atof(words[3]) : 0.0;
  ok(punctum_session_create(plan.get(), &options, &session_handle, &error));
  const std::unique_ptr<punctum_session, Free> session(session_handle);

  for (size_t at = 0, step = 16 * info.dim; at < rows.size(); at += step) {  // as they would arrive from a sensor
    punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
    chunk.features = rows.data() + at;
    chunk.count = std::min(step, rows.size() - at) / info.dim;
    ok(punctum_push(session.get(), &chunk, &error));
    serve(session.get(), engine, info.classes);
  }
  ok(punctum_flush(session.get(), &error));
  serve(session.get(), engine, info.classes);
  return 0;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "%s\n", exception.what());
  return 2;
}
