// Errors inside the library: what is wrong, what is allowed, what to do next. They are caught at the C boundary.
#pragma once

#include <string>
#include <utility>

#include "punctum.h"

namespace punctum {

struct Failure {
  punctum_status status;
  std::string code;
  std::string message;
};

// The form of every message: the same three parts as in Python.
inline std::string message(const std::string& given, const std::string& allowed, const std::string& next) {
  std::string text = given + ".";
  if (!allowed.empty()) text += " Allowed: " + allowed + ".";
  if (!next.empty()) text += " Next: " + next + ".";
  return text;
}

[[noreturn]] inline void fail(punctum_status status, const char* code, const std::string& given,
                              const std::string& allowed = "", const std::string& next = "") {
  throw Failure{status, code, message(given, allowed, next)};
}

[[noreturn]] inline void refuse(const char* code, const std::string& given, const std::string& allowed = "",
                                const std::string& next = "") {
  fail(PUNCTUM_ERROR_ARGUMENT, code, given, allowed, next);
}

}  // namespace punctum
