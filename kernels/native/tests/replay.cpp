// Replays the recorded sessions that the Python session made (tests/native/record.py): the same wants, the same events.
#include <fstream>

#include "json.h"
#include "check.h"
#include "stream.h"

namespace {

using punctum::json::Kind;
using punctum::json::Value;

const Value& at(const Value& object, const char* key) {
  static const Value none;
  const Value* found = object.find(key);
  return found ? *found : none;
}

std::vector<float> floats(const Value& list) {
  std::vector<float> values;
  for (const Value& item : list.items) values.push_back(static_cast<float>(item.number));
  return values;
}

std::string text_of(const Value& value);

// The manifest is part of the header; it is written out again for the library to read.
std::string object_of(const Value& value) {
  std::string out = "{";
  for (const auto& [key, member] : value.members) {
    if (out.size() > 1) out += ",";
    punctum::json::quote(key, out);
    (out += ":") += text_of(member);
  }
  return out + "}";
}

std::string text_of(const Value& value) {
  std::string out;
  switch (value.kind) {
    case Kind::null: return "null";
    case Kind::boolean: return value.boolean ? "true" : "false";
    case Kind::number: punctum::json::number(value.number, out); return out;
    case Kind::string: punctum::json::quote(value.string, out); return out;
    case Kind::object: return object_of(value);
    case Kind::array: break;
  }
  for (const Value& item : value.items) (out += out.empty() ? "[" : ",") += text_of(item);
  return (out.empty() ? "[" : out) + "]";
}

// One recording, call by call. Every complaint names the file and the line.
class Player {
 public:
  explicit Player(const std::string& path) : path_(path) {}

  void run() {
    std::ifstream file(path_);
    std::string line;
    while (std::getline(file, line)) {
      ++line_;
      const Value value = punctum::json::parse(line);
      line_ == 1 ? open(value) : call(value);
      if (!session_) return;
    }
    need(line_ > 2 && events_ > 0, "no recording, or one without events");
  }

  std::size_t events() const { return events_; }

 private:
  bool need(bool passed, const std::string& what) {
    return check::say(passed, path_.c_str(), line_, what);
  }

  void open(const Value& header) {
    const std::string manifest = text_of(at(header, "manifest"));
    plan_ = stream::plan(manifest);
    const Value& given = at(header, "options");
    punctum_session_options options = PUNCTUM_SESSION_OPTIONS_INIT;
    options.stream = at(given, "stream").string.c_str();
    options.run_id = at(given, "run_id").string.c_str();
    options.start_s = at(given, "start_s").number;
    windows_ = at(given, "mode").string == "windows";
    keep_ = at(given, "keep_features").boolean;
    options.mode = windows_ ? PUNCTUM_MODE_WINDOWS : PUNCTUM_MODE_TRACKS;
    options.keep_features = keep_;
    options.max_delay_s = at(given, "max_delay_s").number;
    options.report_score = at(given, "report_score").number;
    options.open_score = at(given, "open_score").number;
    options.tick_s = at(given, "tick_s").number;
    for (const Value& name : at(header, "fields").items) fields_.push_back(name.string);
    punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
    if (!need(punctum_plan_describe(plan_.get(), &info, nullptr) == PUNCTUM_OK, "a manifest that is refused")) return;
    classes_ = info.classes;
    dim_ = info.dim;
    session_ = stream::open(plan_.get(), options);
    need(session_ != nullptr, "options that are refused");
  }

  void call(const Value& line) {
    const std::string& name = at(line, "call").string;
    punctum_error error = {};
    punctum_status status = PUNCTUM_OK;
    if (name == "push" || name == "gap") {
      status = push(line, &error);
    } else if (name == "flush") {
      status = punctum_flush(session_.get(), &error);
    } else if (name == "degrade") {
      status = punctum_set_degraded(session_.get(), at(line, "on").boolean, &error);
    } else if (name == "reset") {
      status = punctum_reset(session_.get(), at(line, "start_s").number, &error);
      pushed_.clear();
    } else if (name == "snapshot") {
      restore();
    } else {
      need(false, "an unknown call, " + name);
    }
    need((status == PUNCTUM_OK ? "" : std::string(error.code)) == at(line, "refused").string,
         std::string("refused: ") + error.code + " " + error.message);
    for (const Value& want : at(line, "wants").items) answer(want);
    punctum_want none = PUNCTUM_WANT_INIT;
    need(punctum_next_want(session_.get(), &none, nullptr) == PUNCTUM_EMPTY, "a want too many");
    poll(at(line, "events").items);
  }

  punctum_status push(const Value& line, punctum_error* error) {
    const std::vector<float> rows = floats(at(line, "rows"));
    std::vector<punctum_loss> lost;
    for (const Value& hole : at(line, "lost").items) {
      lost.push_back({static_cast<int64_t>(hole.items[0].number), static_cast<int64_t>(hole.items[1].number)});
    }
    punctum_chunk chunk = PUNCTUM_CHUNK_INIT;
    chunk.count = static_cast<size_t>(at(line, "count").number);
    chunk.features = windows_ && keep_ ? rows.data() : nullptr;
    chunk.tracks = windows_ ? nullptr : rows.data();
    chunk.has_at = at(line, "at").kind == Kind::number;
    chunk.at_s = at(line, "at").number;
    chunk.lost = lost.data();
    chunk.lost_count = lost.size();
    const punctum_status status = punctum_push(session_.get(), &chunk, error);
    if (status == PUNCTUM_OK) pushed_.insert(pushed_.end(), rows.begin(), rows.end());
    return status;
  }

  void restore() {
    size_t needed = 0;
    punctum_snapshot(session_.get(), nullptr, 0, &needed, nullptr);
    std::vector<unsigned char> bytes(needed);
    need(punctum_snapshot(session_.get(), bytes.data(), needed, &needed, nullptr) == PUNCTUM_OK, "no snapshot");
    punctum_session* made = nullptr;
    need(punctum_session_restore(plan_.get(), bytes.data(), needed, &made, nullptr) == PUNCTUM_OK, "not restored");
    session_.reset(made);
  }

  void answer(const Value& expected) {
    punctum_want want = PUNCTUM_WANT_INIT;
    const bool locate = at(expected, "want").string == "locate";
    const bool same = punctum_next_want(session_.get(), &want, nullptr) == PUNCTUM_OK &&
                      want.kind == (locate ? PUNCTUM_WANT_LOCATE : PUNCTUM_WANT_SCORE) &&
                      want.rows == static_cast<size_t>(at(expected, "rows").number) &&
                      want.inner == at(expected, "inner").boolean;
    if (!need(same, "another want")) return;
    const std::size_t first = static_cast<std::size_t>(want.first) * dim_;
    if (windows_ && keep_) {
      need(std::equal(want.features, want.features + want.rows * dim_, pushed_.begin() + static_cast<std::ptrdiff_t>(first)),
           "a want with other features");
    }
    if (locate) {
      const std::vector<float> tracks = floats(at(expected, "tracks"));
      need(punctum_answer_locate(session_.get(), tracks.data(), want.rows, classes_ + 1, nullptr) == PUNCTUM_OK, "locate");
      return;
    }
    const std::vector<float> segments = floats(at(expected, "segments"));
    bool equal = want.count * 2 == segments.size();
    for (std::size_t i = 0; equal && i < segments.size(); ++i) equal = std::abs(want.segments[i] - segments[i]) < 2e-5f;
    for (std::size_t i = 0; equal && i < want.count; ++i) {
      equal = static_cast<double>(want.labels[i]) == at(expected, "labels").items[i].number;
    }
    need(equal, "other proposals");
    const std::vector<float> probability = floats(at(expected, "class_probability")),
                             attention = floats(at(expected, "attention")), center = floats(at(expected, "center"));
    need(punctum_answer_score(session_.get(), probability.data(), attention.data(), center.data(), attention.size(),
                              classes_, nullptr) == PUNCTUM_OK,
         "score");
  }

  void poll(const std::vector<Value>& expected) {
    punctum_event event = PUNCTUM_EVENT_INIT;
    std::size_t count = 0;
    for (; punctum_poll(session_.get(), &event, nullptr) == PUNCTUM_OK; ++count) {
      if (count >= expected.size()) continue;
      char text[1024];
      size_t needed = 0;
      punctum_event_to_json(&event, text, sizeof text, &needed, nullptr);
      const Value said = punctum::json::parse(text);
      for (std::size_t k = 0; k < fields_.size(); ++k) {
        const char* key = fields_[k] == "id" ? "event" : fields_[k].c_str();
        const Value &is = at(said, key), &should = expected[count].items[k];
        const bool same = is.kind == should.kind && is.string == should.string && is.boolean == should.boolean &&
                          std::abs(is.number - should.number) <= 1e-6;
        need(same, fields_[k] + " is another than in the recording: " + text);
      }
    }
    need(count == expected.size(), std::to_string(count) + " events, expected " + std::to_string(expected.size()));
    events_ += count;
  }

  std::string path_;
  int line_ = 0;
  stream::PlanPtr plan_;
  stream::SessionPtr session_;
  bool windows_ = false, keep_ = false;
  std::size_t classes_ = 0, dim_ = 0, events_ = 0;
  std::vector<std::string> fields_;
  std::vector<float> pushed_;
};

}  // namespace

int main(int count, char** paths) {
  std::size_t events = 0;
  for (int i = 1; i < count; ++i) {
    const int before = check::failures();
    try {
      Player player(paths[i]);
      player.run();
      events += player.events();
    } catch (const punctum::json::Fault& fault) {
      check::say(false, paths[i], 0, "no JSON: " + fault.what);
    }
    std::printf("%s %s\n", check::failures() == before ? "ok    " : "FAILED", paths[i]);
  }
  std::printf("%d recordings, %zu events\n", count - 1, events);
  return check::failures() == 0 && count > 1 ? 0 : 1;
}
