// The reader of JSON and of manifests: what is taken, and how the rest is refused.
#include "check.h"
#include "json.h"
#include "plan.h"
#include "stream.h"

namespace {

// The code and message with which a manifest is refused; "" when it is taken.
std::string refused(const std::string& text) {
  punctum_plan* plan = nullptr;
  punctum_error error = {};
  const punctum_status status = punctum_plan_from_manifest(text.data(), text.size(), &plan, &error);
  punctum_plan_free(plan);
  if (status == PUNCTUM_OK) return "";
  CHECK_SAME(static_cast<int>(status), static_cast<int>(PUNCTUM_ERROR_CONFIG));
  return std::string(error.code) + ": " + error.message;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool is_json(const std::string& text) {
  try {
    punctum::json::parse(text);
    return true;
  } catch (const punctum::json::Fault&) {
    return false;
  }
}

}  // namespace

TEST(json_that_is_taken) {
  for (const char* text : {"null", " true ", "0", "-0.5e-3", "1E+2", "\"\"", "[]", "{}", "[1, [2, {\"a\": null}]]",
                           "\"\\u00e4\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "{\"a\": 1, \"a\": 2}", "1e-999"}) {
    CHECK(is_json(text));
  }
  const punctum::json::Value value = punctum::json::parse("{\"a\": 1, \"b\": \"\\ud83d\\ude00\", \"a\": 2}");
  CHECK(value.find("a")->number == 2.0);
  CHECK(value.find("b")->string == "\xF0\x9F\x98\x80");
  CHECK(value.find("c") == nullptr);
}

TEST(json_that_is_refused) {
  for (const char* text :
       {"", " ", "nul", "01", "1.", ".5", "+1", "-", "1e", "1e999", "NaN", "Infinity", "'a'", "\"", "\"\\x\"", "\"\\u12\"",
        "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "\"\x80\"", "\"\xC0\xAF\"", "\"\xED\xA0\x80\"",
        "\"\xF5\x80\x80\x80\"", "[", "[1", "[1,", "[1 2]", "[,]", "{", "{1: 2}", "{\"a\"}", "{\"a\": }", "{\"a\": 1,}",
        "[1]x", "\xEF\xBB\xBF{}"}) {
    if (is_json(text)) check::say(false, __FILE__, __LINE__, std::string("taken: ") + text);
  }
  CHECK(is_json(std::string(64, '[') + std::string(64, ']')));
  CHECK(!is_json(std::string(70, '[') + std::string(70, ']')));
  CHECK(!is_json(std::string(5'000'000, '[')));
}

TEST(numbers_are_written_as_python_writes_them) {
  const std::pair<double, const char*> cases[] = {
      {0.0, "0.0"},      {-0.0, "-0.0"},   {1.0, "1.0"},       {0.1, "0.1"},          {123456.75, "123456.75"},
      {1e15, "1000000000000000.0"},        {1e16, "1e+16"},    {1.5e-5, "1.5e-05"},   {0.0001, "0.0001"},
      {1e100, "1e+100"}, {1.0 / 3, "0.3333333333333333"},      {5e-324, "5e-324"}};
  for (const auto& [value, expected] : cases) {
    std::string text;
    punctum::json::number(value, text);
    if (text != expected) check::say(false, __FILE__, __LINE__, text + " instead of " + expected);
  }
}

TEST(a_manifest_is_read) {
  const std::string text = stream::manifest(stream::with_head());
  const stream::PlanPtr plan = stream::plan(text);
  punctum_plan_info info = PUNCTUM_PLAN_INFO_INIT;
  CHECK(punctum_plan_describe(plan.get(), &info, nullptr) == PUNCTUM_OK);
  CHECK(info.classes == 3 && info.dim == 4 && info.left == 3 && info.right == 2 && info.context == 6);
  CHECK(info.needs_scores == 1 && info.has_center == 1 && std::string(info.bundle) == "test-1");
  CHECK_NEAR(info.look_ahead_s, 0.8, 1e-12);
  CHECK_NEAR(info.pool_max_context, 5.0, 1e-12);
  CHECK(std::string(punctum_plan_label(plan.get(), 2)) == "c" && !punctum_plan_label(plan.get(), 3));
}

TEST(manifests_that_are_refused_name_the_place) {
  const std::string good = stream::manifest(", \"sigma\": 0.3");
  CHECK(refused(good).empty());
  CHECK(holds(refused(""), "bundle-manifest-unreadable"));
  CHECK(holds(refused("[]"), "the document"));
  CHECK(holds(refused("{}"), "bundle-schema"));
  CHECK(holds(refused(replaced(good, "1.0", "2.0")), "bundle-schema"));
  CHECK(holds(refused(replaced(good, "\"id\": \"test-1\",", "")), "id is missing"));
  CHECK(holds(refused(replaced(good, "\"b\"", "\"a\"")), "labels"));
  CHECK(holds(refused(replaced(good, "\"b\"", "\" \"")), "labels"));
  CHECK(holds(refused(replaced(good, "\"dim\": 4", "\"dim\": 4.5")), "features.dim is 4.5"));
  CHECK(holds(refused(replaced(good, "\"dim\": 4", "\"dim\": 1e300")), "features.dim"));
  CHECK(holds(refused(replaced(good, "0.1}", "-0.1}")), "features.stride_s"));
  CHECK(holds(refused(replaced(good, "\"left\": 3", "\"left\": -3")), "locator.left"));
  CHECK(holds(refused(replaced(good, "\"right\": 2", "\"right\": true")), "locator.right"));
  CHECK(holds(refused(replaced(good, "[0.2, 0.4", "[0.4, 0.2")), "class_thresholds holds 0.2"));
  CHECK(holds(refused(replaced(good, "[0.2, 0.4, 0.6, 0.8]", "[]")), "class_thresholds"));
  CHECK(holds(refused(replaced(good, "\"sigma\": 0.3", "\"sigma\": 0")), "post.sigma"));
  CHECK(holds(refused(replaced(good, "\"sigma\": 0.3", "\"suppression\": \"firm\"")), "post.suppression is \"firm\""));
  CHECK(holds(refused(replaced(good, "\"sigma\": 0.3", "\"fusion\": []")), "post.fusion"));
  CHECK(holds(refused(replaced(good, "\"sigma\": 0.3", "\"fusion\": {\"base\": -1}")), "post.fusion.base"));
  CHECK(holds(refused(replaced(good, "\"sigma\": 0.3", "\"right_context_s\": 1e300")), "out of reach"));
}

CHECK_MAIN
