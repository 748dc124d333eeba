// From checked arguments to kernels. Pointers are those of the device.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace punctum::cuda {

// Groups of up to kWarp members are a warp's, larger ones a block's; above kShared they work in global memory.
constexpr int kWarp = 128;
constexpr int kShared = 1536;

struct Batch {
  const double* segments;      // [n, 2]
  const double* scores;        // [n]
  const std::int64_t* offsets; // [groups + 1]
  std::int64_t n, groups, largest;
};

// Where a call puts what does not fit elsewhere. Parts begin at multiples of 8.
struct Workspace {
  std::int64_t* picked;  // [n]
  double* value;         // [n]
  std::int64_t* counts;  // [groups]
  double* members;       // [3, n] if there are groups above kShared, else NULL
  signed char* locked;   // [n], likewise
};

// Lays the parts out from `memory` on, which may be NULL; returns the bytes.
std::size_t lay_out(std::int64_t n, std::int64_t groups, std::int64_t largest, void* memory, Workspace& space) noexcept;

// Kinds of faults: fault = 8 * row + kind.
enum Kind { kNotFinite, kSwapped, kScoreNotFinite, kOffsets, kLargest };

cudaError_t inspect(const Batch& batch, std::int64_t* fault, cudaStream_t stream) noexcept;
cudaError_t adapt(const Batch& batch, double threshold, double* out, const Workspace& space,
                  cudaStream_t stream) noexcept;
cudaError_t suppress(const Batch& batch, double scale, double floor, double extra, std::int64_t* index, double* decayed,
                     std::int64_t* out_offsets, const Workspace& space, cudaStream_t stream) noexcept;

}  // namespace punctum::cuda
