// Bytes of the fuzzer as numbers, and what is a finding.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "punctum.h"

// libFuzzer keeps the input that led to an abort.
#define HOLD(condition)                                                            \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (0)

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  std::uint8_t byte() { return empty() ? std::uint8_t{0} : *at_++; }
  std::uint32_t below(std::uint32_t limit) { return byte() % limit; }
  std::uint32_t wide() { return static_cast<std::uint32_t>(byte()) << 8 | byte(); }
  // Most often between 0 and 1; now and then what no track should hold.
  float track() {
    static const float odd[] = {-1.0f, 0.0f, 1e30f, -1e30f, 0.2f, 3.4e38f, 1e-40f, -0.0f};
    const std::uint8_t value = byte();
    return value < 248 ? static_cast<float>(value) / 247.0f : odd[value - 248];
  }
  double any_double() {
    unsigned char bytes[8];
    for (unsigned char& b : bytes) b = byte();
    double value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  std::string rest() { return std::string(reinterpret_cast<const char*>(at_), left()); }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

// A refusal has a code and a message, and is none of this library's own mistakes.
inline punctum_status sound(punctum_status status, const punctum_error& error) {
  HOLD(status >= PUNCTUM_ERROR_CAPACITY || status == PUNCTUM_ERROR_SNAPSHOT || status == PUNCTUM_ERROR_MEMORY ||
       (status == PUNCTUM_ERROR_INTERNAL && std::strcmp(error.code, "scores-not-finite") == 0));
  HOLD(status >= 0 || (error.code[0] && error.message[0]));
  return status;
}
