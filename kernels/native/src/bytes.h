// Numbers and text as bytes and back, little-endian whatever the machine.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "failure.h"
#include "segments.h"

namespace punctum {

// FNV-1a: notices damage, does not protect against intent.
inline std::uint64_t checksum(const unsigned char* bytes, std::size_t size) {
  std::uint64_t hash = 14695981039346656037u;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

class Writer {
 public:
  void word(std::uint64_t value, int size = 8) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<unsigned char>(value >> (8 * i) & 0xFF));
  }
  void index(Index value) { word(static_cast<std::uint64_t>(value)); }
  void flag(bool value) { word(value ? 1 : 0, 1); }
  void real(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    word(bits);
  }
  void text(const std::string& value) {
    word(value.size());
    bytes.insert(bytes.end(), value.begin(), value.end());
  }
  void reals(const std::vector<double>& values) {
    word(values.size());
    for (const double value : values) real(value);
  }
  void floats(const float* values, Index count) {
    for (Index i = 0; i < count; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      word(bits, 4);
    }
  }

  std::vector<unsigned char> bytes;
};

// Throws Failure for bytes that end too early and for values out of range.
class Reader {
 public:
  Reader(const unsigned char* bytes, std::size_t size) : at_(bytes), end_(bytes + size) {}

  [[noreturn]] static void damaged(const std::string& given) {
    fail(PUNCTUM_ERROR_SNAPSHOT, "snapshot-damaged", given, "the bytes of punctum_snapshot", "use an earlier snapshot");
  }

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  const unsigned char* take(std::size_t size) {
    if (left() < size) damaged("the snapshot ends too early");
    at_ += size;
    return at_ - size;
  }
  std::uint64_t word(int size = 8) {
    const unsigned char* bytes = take(static_cast<std::size_t>(size));
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    return value;
  }
  Index index(Index low, Index high) {
    const auto value = static_cast<Index>(word());
    if (value < low || value > high) damaged("a number of the snapshot is out of range");
    return value;
  }
  bool flag() {
    const std::uint64_t value = word(1);
    if (value > 1) damaged("a flag of the snapshot is neither 0 nor 1");
    return value == 1;
  }
  double real() {
    const std::uint64_t bits = word();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (!(value - value == 0.0)) damaged("the snapshot contains NaN or infinity");
    return value;
  }
  std::string text() {
    const std::uint64_t size = word();
    if (size > left()) damaged("the snapshot ends too early");
    const unsigned char* bytes = take(static_cast<std::size_t>(size));
    return std::string(bytes, bytes + size);
  }
  std::vector<float> floats(Index count) {
    if (static_cast<std::uint64_t>(count) > left() / 4) damaged("the snapshot ends too early");
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) {
      const auto bits = static_cast<std::uint32_t>(word(4));
      std::memcpy(&value, &bits, sizeof value);
      if (!(value - value == 0.0f)) damaged("the snapshot contains NaN or infinity");
    }
    return values;
  }

 private:
  const unsigned char* at_;
  const unsigned char* end_;
};

}  // namespace punctum
