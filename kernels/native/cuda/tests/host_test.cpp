// What the library does without a device: workspaces, argument checks, and what it says.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

#include "punctum_cuda.h"

namespace {

int failures = 0;

void check(bool fine, const std::string& what) {
  if (fine) return;
  ++failures;
  std::printf("failed: %s\n", what.c_str());
}

void expect(punctum_status found, punctum_status wanted, const punctum_error& error, const char* code,
            const std::string& what) {
  check(found == wanted && std::strcmp(error.code, code) == 0,
        what + ": " + std::to_string(found) + " " + error.code + ": " + error.message);
}

void workspaces() {
  punctum_error error{};
  std::size_t bytes = 1, more = 0;
  check(punctum_cuda_workspace(0, 0, 0, &bytes, &error) == PUNCTUM_OK && bytes == 0, "an empty batch needs nothing");
  check(punctum_cuda_workspace(1000, 10, 100, &bytes, &error) == PUNCTUM_OK && bytes == 16080, "small groups");
  check(punctum_cuda_workspace(4001, 1, 4001, &more, &error) == PUNCTUM_OK && more == 4001 * 40 + 8 + 4008,
        "a large group works in global memory");
  check(punctum_cuda_workspace(1000, 10, 100000, &more, &error) == PUNCTUM_OK && more == bytes, "n bounds largest");
  const std::size_t huge = std::size_t{1} << 31;
  expect(punctum_cuda_workspace(huge, 1, 1, &bytes, &error), PUNCTUM_ERROR_ARGUMENT, error, "size", "n of 2^31");
  expect(punctum_cuda_workspace(1, huge, 1, &bytes, &error), PUNCTUM_ERROR_ARGUMENT, error, "size", "groups of 2^31");
  expect(punctum_cuda_workspace(1, 0, 1, &bytes, &error), PUNCTUM_ERROR_ARGUMENT, error, "groups", "no group");
  expect(punctum_cuda_workspace(1, 1, 1, nullptr, &error), PUNCTUM_ERROR_ARGUMENT, error, "null", "bytes NULL");
  check(punctum_cuda_workspace(1, 1, 1, nullptr, nullptr) == PUNCTUM_ERROR_ARGUMENT, "error may be NULL");
}

void faults() {
  punctum_error error{};
  check(punctum_cuda_fault(PUNCTUM_CUDA_SOUND, &error) == PUNCTUM_OK, "sound");
  const char* codes[] = {"not-finite", "segment", "not-finite", "groups", "groups", "fault", "fault", "fault"};
  for (int kind = 0; kind < 8; ++kind) {
    expect(punctum_cuda_fault(8 * 41 + kind, &error), PUNCTUM_ERROR_ARGUMENT, error, codes[kind], "a fault");
    check(kind > 4 || std::strstr(error.message, "[41]"), "a fault names the row");
  }
  expect(punctum_cuda_fault(-1, &error), PUNCTUM_ERROR_ARGUMENT, error, "fault", "a negative fault");
}

// Numbers and sizes are refused before any pointer is looked at, so these need no device.
void arguments() {
  punctum_error error{};
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, -0.5}) {
    expect(punctum_cuda_adapt_groups(nullptr, nullptr, 0, nullptr, 0, 0, bad, nullptr, nullptr, 0, nullptr, &error),
           PUNCTUM_ERROR_ARGUMENT, error, "number", "iou_threshold");
  }
  const double cases[][3] = {{0.0, 0.0, 0.0}, {nan, 0.0, 0.0}, {0.3, nan, 0.0}, {0.3, 0.0, nan}, {0.3, 0.0, infinite}};
  for (const auto& c : cases) {
    expect(punctum_cuda_suppress_groups(nullptr, nullptr, 0, nullptr, 0, 0, c[0], c[1], c[2], nullptr, nullptr, nullptr,
                                        nullptr, 0, nullptr, &error),
           PUNCTUM_ERROR_ARGUMENT, error, "number", "numbers of soft-NMS");
  }
  expect(punctum_cuda_adapt_groups(nullptr, nullptr, 8, nullptr, 2, 8, 0.4, nullptr, nullptr, 15, nullptr, &error),
         PUNCTUM_ERROR_CAPACITY, error, "workspace", "a small workspace");
  alignas(8) char room[512];
  expect(punctum_cuda_adapt_groups(nullptr, nullptr, 8, nullptr, 2, 8, 0.4, nullptr, room + 1, 400, nullptr, &error),
         PUNCTUM_ERROR_ARGUMENT, error, "workspace", "a workspace off its alignment");
  expect(punctum_cuda_adapt_groups(nullptr, nullptr, 8, nullptr, 2, 8, 0.4, nullptr, room, 400, nullptr, &error),
         PUNCTUM_ERROR_ARGUMENT, error, "null", "segments NULL");
  expect(punctum_cuda_available(nullptr, &error), PUNCTUM_ERROR_ARGUMENT, error, "null", "devices NULL");
}

void without_device() {
  punctum_error error{};
  std::int32_t devices = -1;
  const punctum_status status = punctum_cuda_available(&devices, &error);
  if (status == PUNCTUM_OK) {
    std::printf("%d devices: what is said without one was not looked at\n", devices);
    return;
  }
  expect(status, PUNCTUM_ERROR_DEVICE, error, "no-device", "no device");
  check(devices == 0, "no device is counted");
  alignas(8) char room[512];
  double segments[16] = {}, scores[8] = {};
  std::int64_t offsets[3] = {0, 4, 8}, fault = 0;
  expect(punctum_cuda_adapt_groups(segments, scores, 8, offsets, 2, 8, 0.4, segments, room, 400, nullptr, &error),
         PUNCTUM_ERROR_DEVICE, error, "no-device", "adapting without a device");
  expect(punctum_cuda_inspect(segments, scores, 8, offsets, 2, 8, &fault, nullptr, &error), PUNCTUM_ERROR_DEVICE, error,
         "no-device", "inspecting without a device");
}

}  // namespace

int main() {
  workspaces();
  faults();
  arguments();
  without_device();
  std::printf(failures ? "%d failures\n" : "fine\n", failures);
  return failures ? 1 : 0;
}
