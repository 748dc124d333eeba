// What every function of the C boundary does: exceptions end here, structures are copied by their size.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>

#include "failure.h"
#include "plan.h"
#include "session.h"

struct punctum_plan {
  std::shared_ptr<const punctum::Plan> plan;
};

struct punctum_session {
  std::mutex lock;
  std::unique_ptr<punctum::Session> session;
  std::shared_ptr<const punctum::Plan> plan;
  std::string event_id;  // of the event polled last
};

namespace punctum {

inline void put_text(char* to, std::size_t capacity, const char* from) noexcept {
  std::size_t size = std::strlen(from);
  if (size >= capacity) {
    size = capacity - 1;
    while (size > 0 && (static_cast<unsigned char>(from[size]) & 0xC0) == 0x80) --size;  // no half characters
  }
  std::memcpy(to, from, size);
  to[size] = '\0';
}

inline punctum_status report(punctum_error* error, punctum_status status, const char* code, const char* message) noexcept {
  if (error) {
    put_text(error->code, sizeof error->code, code);
    put_text(error->message, sizeof error->message, message);
  }
  return status;
}

// Run `work` (returning a status); nothing it throws gets out.
template <class Work>
punctum_status guard(punctum_error* error, Work work) noexcept {
  try {
    return work();
  } catch (const Failure& failure) {
    return report(error, failure.status, failure.code.c_str(), failure.message.c_str());
  } catch (const std::bad_alloc&) {
    return report(error, PUNCTUM_ERROR_MEMORY, "memory", "There is not enough memory.");
  } catch (const std::length_error&) {
    return report(error, PUNCTUM_ERROR_MEMORY, "memory", "More memory was asked for than there can be.");
  } catch (const std::exception& exception) {
    return report(error, PUNCTUM_ERROR_INTERNAL, "internal", exception.what());
  } catch (...) {
    return report(error, PUNCTUM_ERROR_INTERNAL, "internal", "An unknown error.");
  }
}

template <class T>
T& need(T* pointer, const char* name) {
  if (!pointer) refuse("null", std::string(name) + " is NULL", "a valid pointer", "check the call");
  return *pointer;
}

// least: the structure's size in the first version of the ABI, for those that have grown since.
template <class T>
void need_size(const T& given, const char* name, std::size_t least = sizeof(T)) {
  if (given.struct_size < least) {
    refuse("struct-size", std::string(name) + ".struct_size is " + std::to_string(given.struct_size),
           std::to_string(least) + " or more", "start from the structure's INIT macro");
  }
}

// A structure of an older program, what it does not know yet filled up from `initial`.
template <class T>
T take(const T& given, T initial, const char* name, std::size_t least) {
  need_size(given, name, least);
  std::memcpy(&initial, &given, std::min(given.struct_size, sizeof(T)));
  return initial;
}

// Copy a result out without touching what a newer program has behind it, or an older one does not have.
template <class T>
void give(T& to, T value) {
  value.struct_size = to.struct_size;
  std::memcpy(&to, &value, std::min(value.struct_size, sizeof(T)));
}

inline Index size_of(std::size_t size, const char* name) {
  constexpr std::size_t most = std::size_t{1} << 40;
  if (size > most) refuse("size", std::string(name) + " is " + std::to_string(size), "at most 2^40", "check the call");
  return static_cast<Index>(size);
}

// Entries of an array of rows; refuses products that no memory can hold.
inline Index area_of(std::size_t rows, std::size_t columns, const char* name) {
  const Index n = size_of(rows, name), m = size_of(columns, name);
  constexpr Index most = Index{1} << 48;
  if (m > 0 && n > most / m) refuse("size", std::string(name) + " is too large", "at most 2^48 entries", "check the call");
  return n * m;
}

template <class T>
void need_array(const T* array, Index count, const char* name) {
  if (count > 0 && !array) refuse("null", std::string(name) + " is NULL", "an array", "check the call");
}

}  // namespace punctum
