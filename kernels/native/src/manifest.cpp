// The parts of a bundle's manifest.json that a session needs. Ranges are those of the Python models; numbers have to be
// numbers. Unknown keys of the same major schema are ignored.
#include <cmath>
#include <functional>
#include <set>

#include "failure.h"
#include "json.h"
#include "plan.h"

namespace punctum {
namespace {

using json::Kind;
using json::Value;

constexpr double kMost = 9007199254740992.0;  // 2^53: whole numbers are exact up to it

// The invalid value, shortened for a message.
std::string spelled(const Value& value) {
  static constexpr const char* kinds[] = {"null", "true or false", "a number", "text", "a list", "an object"};
  std::string text;
  if (value.kind == Kind::number) {
    json::number(value.number, text);
  } else if (value.kind == Kind::string && value.string.size() <= 40) {
    json::quote(value.string, text);
  } else {
    text = kinds[static_cast<int>(value.kind)];
  }
  return " is " + text;
}

[[noreturn]] void invalid(const std::string& where, const std::string& allowed) {
  fail(PUNCTUM_ERROR_CONFIG, "bundle-manifest-invalid", "manifest.json: " + where, allowed, "export the bundle again");
}

// One object of the manifest and its name, for messages.
class Part {
 public:
  Part(const Value& value, std::string name) : value_(value), name_(std::move(name)) {
    if (value.kind != Kind::object) invalid((name_.empty() ? "the document" : name_) + spelled(value), "an object");
  }

  std::string where(const char* key) const { return name_.empty() ? key : name_ + "." + key; }

  // nullptr if the key is optional and missing.
  const Value* get(const char* key, bool required) const {
    const Value* value = value_.find(key);
    if (!value && required) invalid(where(key) + " is missing", "a value");
    return value;
  }

  void real(const char* key, double& out, const std::function<bool(double)>& fits, const char* allowed,
            bool required = false) const {
    const Value* value = get(key, required);
    if (!value) return;
    if (value->kind != Kind::number || !fits(value->number)) invalid(where(key) + spelled(*value), allowed);
    out = value->number;
  }

  void whole(const char* key, Index& out, double least, bool required = false) const {
    double number = static_cast<double>(out);
    real(
        key, number, [least](double x) { return x >= least && x <= kMost && std::floor(x) == x; },
        least > 0.0 ? "a whole number, 1 or more" : "a whole number, 0 or more", required);
    out = static_cast<Index>(number);
  }

  void flag(const char* key, bool& out) const {
    const Value* value = get(key, false);
    if (!value) return;
    if (value->kind != Kind::boolean) invalid(where(key) + spelled(*value), "true or false");
    out = value->boolean;
  }

  void text(const char* key, std::string& out, bool required) const {
    const Value* value = get(key, required);
    if (!value) return;
    if (value->kind != Kind::string || !json::is_text(value->string)) invalid(where(key) + spelled(*value), "text");
    out = value->string;
  }

  void levels(const char* key, std::vector<double>& out) const {
    const Value* value = get(key, false);
    if (!value) return;
    if (value->kind != Kind::array) invalid(where(key) + spelled(*value), "a list of numbers");
    std::vector<double> read;
    for (const Value& item : value->items) {
      const bool fits = item.kind == Kind::number && item.number > 0.0 && item.number < 1.0;
      if (!fits || (!read.empty() && item.number <= read.back())) {
        invalid(where(key) + " holds" + spelled(item).substr(3), "thresholds that rise and lie strictly between 0 and 1");
      }
      read.push_back(item.number);
    }
    out = std::move(read);
  }

 private:
  const Value& value_;
  std::string name_;
};

bool not_negative(double x) { return x >= 0.0; }
bool positive(double x) { return x > 0.0; }

void check_schema(const Part& top) {
  std::string schema;
  const Value* value = top.get("schema", false);
  if (value && value->kind == Kind::string) schema = value->string;
  if (schema.substr(0, schema.find('.')) != "1") {
    fail(PUNCTUM_ERROR_CONFIG, "bundle-schema", "a manifest of schema '" + schema.substr(0, 40) + "'", "1.x",
         "use a matching libpunctum, or export again");
  }
}

std::vector<std::string> labels_of(const Part& top) {
  const Value& list = *top.get("labels", true);
  std::vector<std::string> labels;
  std::set<std::string> seen;
  if (list.kind != Kind::array || list.items.empty()) invalid("labels", "a list of at least one label");
  for (const Value& item : list.items) {
    const bool text = item.kind == Kind::string && json::is_text(item.string) &&
                      item.string.find_first_not_of(" \t\r\n\f\v") != std::string::npos;
    if (!text || !seen.insert(item.string).second) {
      invalid("labels holds" + spelled(item).substr(3) + (text ? " twice" : ""), "distinct labels that are not empty");
    }
    labels.push_back(item.string);
  }
  return labels;
}

Fusion fusion_of(const Part& post) {
  Fusion fusion;
  const Value* given = post.get("fusion", false);
  if (!given) return fusion;
  const Part part(*given, "post.fusion");
  part.real("class_probability", fusion.class_probability, not_negative, "0 or more");
  part.real("attention", fusion.attention, not_negative, "0 or more");
  part.real("center", fusion.center, not_negative, "0 or more");
  part.real("contrast", fusion.contrast, not_negative, "0 or more");
  part.real("base", fusion.base, not_negative, "0 or more");
  return fusion;
}

PostProcess post_of(const Value& value) {
  const Part part(value, "post");
  PostProcess post;
  part.levels("class_thresholds", post.class_thresholds);
  if (post.class_thresholds.empty()) invalid("post.class_thresholds", "at least one threshold");
  part.levels("actionness_thresholds", post.actionness_thresholds);
  part.real("contrast_margin", post.contrast_margin, not_negative, "0 or more");
  part.real("context", post.context, not_negative, "0 or more");
  part.real("right_context_s", post.right_context_s, not_negative, "0 or more seconds");
  part.real("max_island_s", post.max_island_s, positive, "more than 0 seconds");
  post.fusion = fusion_of(part);
  part.flag("adapt", post.adapt);
  part.real("adapt_iou", post.adapt_iou, [](double x) { return x > 0.0 && x < 1.0; }, "between 0 and 1");
  std::string suppression = "soft", gate = "none";
  part.text("suppression", suppression, false);
  if (suppression != "soft" && suppression != "hard" && suppression != "none") {
    invalid("post.suppression" + spelled(*part.get("suppression", true)), "soft, hard, none");
  }
  post.suppression = suppression == "soft"   ? Suppression::soft
                     : suppression == "hard" ? Suppression::hard
                                             : Suppression::none;
  part.real("sigma", post.sigma, positive, "more than 0");
  part.real("nms_iou", post.nms_iou, [](double x) { return x > 0.0 && x <= 1.0; }, "above 0, up to 1");
  part.real("min_score", post.min_score, not_negative, "0 or more");
  part.whole("max_proposals", post.max_proposals, 1.0);
  part.text("gate", gate, false);
  if (gate != "none" && gate != "video") invalid("post.gate" + spelled(*part.get("gate", true)), "none, video");
  post.video_gate = gate == "video";
  return post;
}

// Knots that rise strictly between 0 and 1.
std::vector<double> knots_of(const Part& part, const char* key) {
  const Value& list = *part.get(key, true);
  if (list.kind != Kind::array) invalid(part.where(key) + spelled(list), "a list of numbers");
  std::vector<double> knots;
  for (const Value& item : list.items) {
    const bool fits = item.kind == Kind::number && item.number >= 0.0 && item.number <= 1.0;
    if (!fits || (!knots.empty() && item.number <= knots.back())) {
      invalid(part.where(key) + " holds" + spelled(item).substr(3), "numbers that rise and lie between 0 and 1");
    }
    knots.push_back(item.number);
  }
  return knots;
}

std::vector<ScoreMap> maps_of(const Part& part, const char* key, Index classes, bool required) {
  const Value* list = part.get(key, required);
  std::vector<ScoreMap> maps;
  if (!list) return maps;
  if (list->kind != Kind::array) invalid(part.where(key) + spelled(*list), "a list of maps");
  for (const Value& item : list->items) {
    const Part map(item, part.where(key) + "." + std::to_string(maps.size()));
    maps.push_back({knots_of(map, "raw"), knots_of(map, "score")});
    const ScoreMap& last = maps.back();
    if (last.raw.size() < 2 || last.raw.size() > 256 || last.raw.size() != last.score.size()) {
      invalid(map.where("raw") + " and score have " + std::to_string(last.raw.size()) + " and " +
                  std::to_string(last.score.size()) + " knots",
              "2 to 256 knots each");
    }
    double min_score = 0.0;
    map.real("min_score", min_score, [](double x) { return x >= 0.0 && x <= 1.0; }, "0 to 1");
  }
  if (static_cast<Index>(maps.size()) != classes && (required || !maps.empty())) {
    invalid(part.where(key) + " has " + std::to_string(maps.size()) + " maps", "one for each label");
  }
  return maps;
}

double overhang_of(const Value& value) {
  const Part part(value, "backbone");
  double fps = 0.0;
  Index right = 0;
  part.real("fps", fps, positive, "more than 0", true);
  part.whole("right_frames", right, 0.0);
  return static_cast<double>(right) / fps;
}

}  // namespace

Plan read_manifest(std::string_view text) {
  Value document;
  try {
    document = json::parse(text);
  } catch (const json::Fault& fault) {
    fail(PUNCTUM_ERROR_CONFIG, "bundle-manifest-unreadable",
         "manifest.json is not JSON: line " + std::to_string(fault.line) + ", column " + std::to_string(fault.column) +
             ": " + fault.what,
         "JSON", "export the bundle again");
  }
  const Part top(document, "");
  check_schema(top);
  Plan plan;
  top.text("id", plan.bundle, true);
  plan.labels = labels_of(top);
  const Part features(*top.get("features", true), "features");
  features.whole("dim", plan.dim, 1.0, true);
  features.real("stride_s", plan.stride_s, positive, "more than 0 seconds", true);
  const Part locator(*top.get("locator", true), "locator");
  locator.whole("left", plan.left, 0.0);
  locator.whole("right", plan.right, 0.0);
  const Value* center = top.get("center", false);
  plan.has_center = center && center->kind != Kind::null;
  if (const Value* backbone = top.get("backbone", false); backbone && backbone->kind != Kind::null) {
    plan.overhang_s = overhang_of(*backbone);
  }
  plan.post = post_of(*top.get("post", true));
  if (const Value* value = top.get("calibration", false); value && value->kind != Kind::null) {
    const Part part(*value, "calibration");
    plan.calibration = maps_of(part, "classes", plan.classes(), true);
    plan.reduced_calibration = maps_of(part, "reduced", plan.classes(), false);
  }
  // Snippet indices stay exact, and sums of them never overflow.
  constexpr double most = 1e9;
  const double context = plan.post.right_context_s / plan.stride_s;
  if (!(context <= most) || static_cast<double>(plan.left) > most || static_cast<double>(plan.right) > most ||
      static_cast<double>(plan.dim) > most || !std::isfinite(plan.overhang_s) || plan.overhang_s > 1e9 ||
      plan.stride_s > 1e9 || plan.stride_s < 1e-9) {
    invalid("features.dim, features.stride_s, locator, backbone or post.right_context_s is out of reach",
            "at most 1e9 snippets, strides between 1e-9 and 1e9 seconds");
  }
  return plan;
}

}  // namespace punctum
