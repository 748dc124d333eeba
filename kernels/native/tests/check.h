// The smallest test framework that will do: TEST registers, CHECK counts, main runs all or those named.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline std::atomic<int>& failures() {
  static std::atomic<int> count{0};
  return count;
}

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline bool say(bool passed, const char* file, int line, const std::string& what) {
  if (!passed) {
    ++failures();
    std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  }
  return passed;
}

inline int main_of(int count, char** names) {
  for (const Test& test : tests()) {
    bool wanted = count < 2;
    for (int i = 1; i < count; ++i) wanted = wanted || std::strcmp(names[i], test.name) == 0;
    if (!wanted) continue;
    const int before = failures();
    try {
      test.run();
    } catch (const std::exception& exception) {
      say(false, test.name, 0, std::string("an exception came out: ") + exception.what());
    }
    std::printf("%s %s\n", failures() == before ? "ok    " : "FAILED", test.name);
  }
  return failures() == 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                          \
  static void name();                                       \
  static const check::Register register_##name(#name, name); \
  static void name()

#define CHECK(condition) check::say((condition), __FILE__, __LINE__, #condition)
#define CHECK_SAME(a, b)                                                                                      \
  check::say((a) == (b), __FILE__, __LINE__,                                                                  \
             std::string(#a " is ") + std::to_string(a) + ", " #b " is " + std::to_string(b))
#define CHECK_NEAR(a, b, most)                                                                                \
  check::say(std::abs((a) - (b)) <= (most), __FILE__, __LINE__,                                               \
             std::string(#a " is ") + std::to_string(a) + ", expected " + std::to_string(b))
#define CHECK_MAIN \
  int main(int count, char** names) { return check::main_of(count, names); }
