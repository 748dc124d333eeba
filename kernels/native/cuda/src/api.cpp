// The C boundary: checks what can be checked without waiting for the device, then launches.
#include "punctum_cuda.h"

#include <cmath>
#include <stdexcept>

#include "api.h"
#include "launch.h"

namespace {

using namespace punctum;

constexpr Index kMost = 0x7FFFFFFF;  // members and groups: a grid has no more blocks

void need_success(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const bool absent = error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver;
  fail(PUNCTUM_ERROR_DEVICE, absent ? "no-device" : "device", std::string(what) + ": " + cudaGetErrorString(error), "",
       absent ? "use a machine with a CUDA device and its driver, or the kernels of punctum.h"
              : "check earlier work on this device, and that the library was built for its architecture");
}

// Memory of the host would stop the device, and with it all that runs in this process.
void need_device(const void* array, std::size_t count, const char* name) {
  if (count == 0) return;
  if (!array) refuse("null", std::string(name) + " is NULL", "device memory", "check the call");
  cudaPointerAttributes found{};
  need_success(cudaPointerGetAttributes(&found, array), name);
  if (found.type == cudaMemoryTypeUnregistered) {
    fail(PUNCTUM_ERROR_DEVICE, "host-memory", std::string(name) + " is memory of the host", "memory of the device",
         "copy it there with cudaMemcpyAsync");
  }
}

Index bounded(std::size_t value, const char* name) {
  if (value > static_cast<std::size_t>(kMost)) {
    refuse("size", std::string(name) + " is " + std::to_string(value), "at most 2^31 - 1", "split the batch");
  }
  return static_cast<Index>(value);
}

struct Input {
  const double* segments;
  const double* scores;
  std::size_t n;
  const std::int64_t* offsets;
  std::size_t groups, largest;
};

cuda::Batch batch_of(const Input& in) {
  const Index n = bounded(in.n, "n"), groups = bounded(in.groups, "groups"), largest = bounded(in.largest, "largest");
  if (groups == 0 && n > 0) {
    refuse("groups", "members, but no group", "0 = o[0] <= ... <= o[groups] = n", "give offsets");
  }
  return {in.segments, in.scores, in.offsets, n, groups, largest < n ? largest : n};
}

void need_input(const Input& in) {
  need_device(in.segments, in.n, "segments");
  need_device(in.scores, in.n, "scores");
  need_device(in.offsets, in.groups > 0 ? in.groups + 1 : 0, "offsets");
}

void need_number(double value, bool fits, const char* name, const char* allowed) {
  if (!fits) refuse("number", std::string(name) + " is " + std::to_string(value), allowed);
}

cuda::Workspace space_of(const cuda::Batch& batch, void* memory, std::size_t size) {
  cuda::Workspace space{};
  const std::size_t bytes = cuda::lay_out(batch.n, batch.groups, batch.largest, memory, space);
  if (size < bytes) {
    fail(PUNCTUM_ERROR_CAPACITY, "workspace", "a workspace of " + std::to_string(size) + " bytes",
         std::to_string(bytes) + " or more", "ask punctum_cuda_workspace");
  }
  if (reinterpret_cast<std::uintptr_t>(memory) % 8 != 0) {
    refuse("workspace", "a workspace that is not aligned", "a multiple of 8 bytes", "take it from cudaMalloc");
  }
  return space;
}

}  // namespace

extern "C" {

punctum_status punctum_cuda_available(int32_t* devices, punctum_error* error) noexcept {
  return guard(error, [&] {
    int count = 0;
    need(devices, "devices") = 0;
    need_success(cudaGetDeviceCount(&count), "looking for a device");
    if (count == 0) need_success(cudaErrorNoDevice, "looking for a device");
    *devices = count;
    return PUNCTUM_OK;
  });
}

punctum_status punctum_cuda_workspace(size_t n, size_t groups, size_t largest, size_t* bytes,
                                      punctum_error* error) noexcept {
  return guard(error, [&] {
    need(bytes, "bytes") = 0;
    const cuda::Batch batch = batch_of({nullptr, nullptr, n, nullptr, groups, largest});
    cuda::Workspace space{};
    *bytes = cuda::lay_out(batch.n, batch.groups, batch.largest, nullptr, space);
    return PUNCTUM_OK;
  });
}

punctum_status punctum_cuda_inspect(const double* segments, const double* scores, size_t n, const int64_t* offsets,
                                    size_t groups, size_t largest, int64_t* fault, void* stream,
                                    punctum_error* error) noexcept {
  return guard(error, [&] {
    const Input in{segments, scores, n, offsets, groups, largest};
    const cuda::Batch batch = batch_of(in);
    need_input(in);
    need_device(fault, 1, "fault");
    need_success(cuda::inspect(batch, fault, static_cast<cudaStream_t>(stream)), "launching the inspection");
    return PUNCTUM_OK;
  });
}

punctum_status punctum_cuda_fault(int64_t fault, punctum_error* error) noexcept {
  return guard(error, [&] {
    if (fault == PUNCTUM_CUDA_SOUND) return PUNCTUM_OK;
    const std::string row = "[" + std::to_string(fault / 8) + "]";
    switch (fault < 0 ? -1 : fault % 8) {
      case cuda::kNotFinite: refuse("not-finite", "segments" + row + " holds NaN or infinity", "finite numbers");
      case cuda::kSwapped: refuse("segment", "segments" + row + " ends before it starts", "start <= end");
      case cuda::kScoreNotFinite: refuse("not-finite", "scores" + row + " is NaN or infinite", "finite numbers");
      case cuda::kOffsets:
        refuse("groups", "offsets" + row + " breaks the partition", "0 = o[0] <= ... <= o[groups] = n", "rebuild them");
      case cuda::kLargest: refuse("groups", "group " + row + " has more members than `largest`", "", "raise `largest`");
      default:
        refuse("fault", "fault is " + std::to_string(fault), "what punctum_cuda_inspect wrote",
               "copy it after the stream is done");
    }
  });
}

punctum_status punctum_cuda_adapt_groups(const double* segments, const double* scores, size_t n, const int64_t* offsets,
                                         size_t groups, size_t largest, double iou_threshold, double* out,
                                         void* workspace, size_t workspace_bytes, void* stream,
                                         punctum_error* error) noexcept {
  return guard(error, [&] {
    const Input in{segments, scores, n, offsets, groups, largest};
    const cuda::Batch batch = batch_of(in);
    need_number(iou_threshold, iou_threshold >= 0.0, "iou_threshold", "at least 0");
    const cuda::Workspace space = space_of(batch, workspace, workspace_bytes);
    need_input(in);
    need_device(out, n, "out");
    need_device(workspace, workspace_bytes, "workspace");
    need_success(cuda::adapt(batch, iou_threshold, out, space, static_cast<cudaStream_t>(stream)), "launching ABA");
    return PUNCTUM_OK;
  });
}

punctum_status punctum_cuda_suppress_groups(const double* segments, const double* scores, size_t n,
                                            const int64_t* offsets, size_t groups, size_t largest, double sigma,
                                            double min_score, double length_offset, int64_t* index, double* decayed,
                                            int64_t* out_offsets, void* workspace, size_t workspace_bytes, void* stream,
                                            punctum_error* error) noexcept {
  return guard(error, [&] {
    const Input in{segments, scores, n, offsets, groups, largest};
    const cuda::Batch batch = batch_of(in);
    need_number(sigma, sigma > 0.0, "sigma", "more than 0");
    need_number(min_score, !std::isnan(min_score), "min_score", "a number");
    need_number(length_offset, std::isfinite(length_offset), "length_offset", "a finite number");
    const cuda::Workspace space = space_of(batch, workspace, workspace_bytes);
    need_input(in);
    need_device(index, n, "index");
    need_device(decayed, n, "decayed");
    need_device(out_offsets, groups + 1, "out_offsets");
    need_device(workspace, workspace_bytes, "workspace");
    need_success(cuda::suppress(batch, -1.0 / sigma, min_score, length_offset, index, decayed, out_offsets, space,
                                static_cast<cudaStream_t>(stream)),
                 "launching soft-NMS");
    return PUNCTUM_OK;
  });
}

}  // extern "C"
