// A host with its own inference engine. Everything that the engine does is behind `infer`; here it is a stand-in that
// makes tracks from the first features, so that the program runs anywhere.
//
//   host_engine MANIFEST FEATURES      float32 rows [T, dim], raw; events go to standard output as JSON Lines
#include <punctum.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using Floats = std::vector<float>;

// What the graphs say: "locator" [rows, dim] -> {tracks [rows, C + 1]}; "center", which also gets the tracks and the
// segments -> {class probability [count, C], attention [count], center [count]}. Put your engine here.
static std::vector<Floats> infer(const std::string& graph, const punctum_want& want, const punctum_plan_info& plan) {
  const size_t n = want.count;
  if (graph == "center") return {Floats(n * plan.classes, 0.9f), Floats(n, 0.8f), Floats(n, 1.0f)};
  Floats tracks(want.rows * (plan.classes + 1), 0.0f);
  for (size_t row = 0; row < want.rows; ++row) {
    float* out = tracks.data() + row * (plan.classes + 1);
    std::copy_n(want.features + row * plan.dim, std::min(plan.classes, plan.dim), out);
    out[plan.classes] = *std::max_element(out, out + plan.classes);
  }
  return {tracks};
}

static punctum_error error;
static bool ok(punctum_status status) {
  if (status < 0) throw std::runtime_error(error.message);
  return status == PUNCTUM_OK;
}

static std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

static void serve(punctum_session* session, const punctum_plan_info& plan) {
  for (punctum_want want = PUNCTUM_WANT_INIT; ok(punctum_next_want(session, &want, &error));) {
    const bool locate = want.kind == PUNCTUM_WANT_LOCATE;
    const auto out = infer(locate ? "locator" : "center", want, plan);
    ok(locate ? punctum_answer_locate(session, out[0].data(), want.rows, plan.classes + 1, &error)
              : punctum_answer_score(session, out[0].data(), out[1].data(), out[2].data(), want.count, plan.classes,
                                     &error));
  }
  char line[4096];
  size_t needed;
  for (punctum_event event = PUNCTUM_EVENT_INIT; ok(punctum_poll(session, &event, &error));) {
    if (ok(punctum_event_to_json(&event, line, sizeof line, &needed, &error))) std::puts(line);
  }
}

struct Free {
  void operator()(punctum_plan* plan) const { punctum_plan_free(plan); }
  void operator()(punctum_session* session) const { punctum_session_free(session); }
};

int main(int count, char** words) try {
  if (count != 3) throw std::runtime_error("host_engine MANIFEST FEATURES");
  const std::string manifest = read(words[1]), bytes = read(words[2]);
  punctum_plan* made = nullptr;
  punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
  ok(punctum_plan_from_manifest(manifest.data(), manifest.size(), &made, &error));
  const std::unique_ptr<punctum_plan, Free> plan(made);
  ok(punctum_plan_describe(plan.get(), &info, &error));
  if (bytes.size() % (info.dim * sizeof(float)) != 0) throw std::runtime_error("the features are no whole rows");
  Floats rows(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<char*>(rows.data()));

  punctum_session* begun = nullptr;
  punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
  options.mode = PUNCTUM_MODE_WINDOWS, options.keep_features = 1;
  ok(punctum_session_create(plan.get(), &options, &begun, &error));
  const std::unique_ptr<punctum_session, Free> session(begun);
  for (size_t at = 0, step = 64 * info.dim; at < rows.size(); at += step) {
    punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
    chunk.features = rows.data() + at, chunk.count = std::min(step, rows.size() - at) / info.dim;
    ok(punctum_push(session.get(), &chunk, &error));
    serve(session.get(), info);
  }
  ok(punctum_flush(session.get(), &error));
  serve(session.get(), info);
  return 0;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "%s\n", exception.what());
  return 2;
}
