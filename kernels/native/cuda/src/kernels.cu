// The kernels. Small groups are a warp's, four to a block; of the larger ones each is a block's.
#include <cstdint>

#include "groups.h"
#include "launch.h"

namespace punctum::cuda {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFu;
constexpr int kLanes = 32;
constexpr int kWarps = 4;        // of a block of small groups
constexpr int kMostWarps = 32;   // of a block of a large one
constexpr std::int64_t kSoundFault = 0x7FFFFFFFFFFFFFFF;

// Sums of a butterfly are the same in all lanes: a + b and b + a have the same bits.
__device__ __forceinline__ void combine_lanes(Candidate& best) {
  for (int step = kLanes / 2; step > 0; step /= 2) {
    const Candidate other{__shfl_xor_sync(kAll, best.score, step), __shfl_xor_sync(kAll, best.index, step)};
    if (beats(other, best)) best = other;
  }
}

__device__ __forceinline__ void combine_lanes(Pull& pull) {
  for (int step = kLanes / 2; step > 0; step /= 2) {
    pull.weight += __shfl_xor_sync(kAll, pull.weight, step);
    pull.start += __shfl_xor_sync(kAll, pull.start, step);
    pull.end += __shfl_xor_sync(kAll, pull.end, step);
  }
}

// A warp, which works on a group of its own.
struct Warp {
  __device__ int rank() const { return static_cast<int>(threadIdx.x) % kLanes; }
  __device__ int size() const { return kLanes; }
  __device__ void combine(Candidate& best) {
    __syncwarp();  // what the lanes wrote is seen by all
    combine_lanes(best);
  }
  __device__ void combine(Candidate& best, Pull& pull) {
    combine(best);
    combine_lanes(pull);
  }
};

// A block. Its warps leave their parts in one of two places by turns, so one barrier a round is enough: who writes a
// place again has passed the barrier of the round between, and so have all who read it.
struct Slots {
  Candidate best[2][kMostWarps];
  Pull pull[2][kMostWarps];
};

struct Block {
  Slots& slots;
  int turn = 0;

  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ void combine(Candidate& best) {
    const int lane = rank() % kLanes, warp = rank() / kLanes, warps = size() / kLanes;
    combine_lanes(best);
    if (lane == 0) slots.best[turn][warp] = best;
    __syncthreads();
    best = lane < warps ? slots.best[turn][lane] : Candidate{0.0, -1};
    combine_lanes(best);
    turn ^= 1;
  }
  __device__ void combine(Candidate& best, Pull& pull) {
    const int lane = rank() % kLanes, warp = rank() / kLanes, warps = size() / kLanes;
    combine_lanes(best);
    combine_lanes(pull);
    if (lane == 0) slots.best[turn][warp] = best, slots.pull[turn][warp] = pull;
    __syncthreads();
    best = lane < warps ? slots.best[turn][lane] : Candidate{0.0, -1};
    pull = lane < warps ? slots.pull[turn][lane] : Pull{0.0, 0.0, 0.0};
    combine_lanes(best);
    combine_lanes(pull);
    turn ^= 1;
  }
};

// A group as far as it can be trusted: -1 members where its offsets or its size are not what was promised.
struct Group {
  std::int64_t first;
  int size;
};
__device__ __forceinline__ Group group_of(const Batch& batch, std::int64_t g) {
  const std::int64_t a = batch.offsets[g], b = batch.offsets[g + 1];
  if (a < 0 || b < a || b > batch.n || b - a > batch.largest) return {0, -1};
  return {a, static_cast<int>(b - a)};
}

struct SmallRoom {
  double start[kWarps][kWarp], end[kWarps][kWarp], score[kWarps][kWarp];
  signed char locked[kWarps][kWarp];
};
__device__ __forceinline__ Members members_of(SmallRoom& room) {
  const int w = static_cast<int>(threadIdx.x) / kLanes;
  return {room.start[w], room.end[w], room.score[w], room.locked[w]};
}
__device__ __forceinline__ std::int64_t group_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kLanes;
}

// Shared memory of a block where its group fits (as many doubles as the launch asked for), else global memory.
__device__ __forceinline__ Members members_of(double* room, const Group& group, const Batch& batch,
                                              const Workspace& space) {
  if (group.size <= kShared) {
    const int n = group.size;
    return {room, room + n, room + 2 * n, reinterpret_cast<signed char*>(room + 3 * n)};
  }
  double* at = space.members + group.first;
  return {at, at + batch.n, at + 2 * batch.n, space.locked + group.first};
}

__global__ void __launch_bounds__(kWarps * kLanes) adapt_small(Batch batch, double threshold, double* out) {
  __shared__ SmallRoom room;
  const std::int64_t g = group_of_warp();
  if (g >= batch.groups) return;
  const Group group = group_of(batch, g);
  if (group.size < 1 || group.size > kWarp) return;
  Warp team;
  adapt_group(team, members_of(room), group.size, threshold, batch.segments + 2 * group.first,
              batch.scores + group.first, out + 2 * group.first);
}

__global__ void __launch_bounds__(kMostWarps * kLanes)
    adapt_large(Batch batch, double threshold, double* out, Workspace space) {
  __shared__ Slots slots;
  extern __shared__ double room[];
  const Group group = group_of(batch, blockIdx.x);
  if (group.size <= kWarp) return;
  Block team{slots};
  adapt_group(team, members_of(room, group, batch, space), group.size, threshold, batch.segments + 2 * group.first,
              batch.scores + group.first, out + 2 * group.first);
}

__global__ void __launch_bounds__(kWarps * kLanes)
    pick_small(Batch batch, double scale, double floor, double extra, Workspace space) {
  __shared__ SmallRoom room;
  const std::int64_t g = group_of_warp();
  if (g >= batch.groups) return;
  const Group group = group_of(batch, g);
  if (group.size > kWarp) return;
  Warp team;
  int count = 0;
  if (group.size > 0) {
    count = pick_group(team, members_of(room), group.size, scale, floor, extra, batch.segments + 2 * group.first,
                       batch.scores + group.first, space.picked + group.first, space.value + group.first);
  }
  if (team.rank() == 0) space.counts[g] = count;
}

__global__ void __launch_bounds__(kMostWarps * kLanes)
    pick_large(Batch batch, double scale, double floor, double extra, Workspace space) {
  __shared__ Slots slots;
  extern __shared__ double room[];
  const Group group = group_of(batch, blockIdx.x);
  if (group.size <= kWarp) return;
  Block team{slots};
  const int count = pick_group(team, members_of(room, group, batch, space), group.size, scale, floor, extra,
                               batch.segments + 2 * group.first, batch.scores + group.first,
                               space.picked + group.first, space.value + group.first);
  if (team.rank() == 0) space.counts[blockIdx.x] = count;
}

__device__ __forceinline__ std::int64_t sum_of_lanes_up_to(std::int64_t value) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (int step = 1; step < kLanes; step *= 2) {
    const long long other = __shfl_up_sync(kAll, static_cast<long long>(value), step);
    if (lane >= step) value += other;
  }
  return value;
}

// out [groups + 1]: where the picks of each group begin. One block of kMostWarps warps.
__global__ void __launch_bounds__(kMostWarps * kLanes)
    add_up(const std::int64_t* counts, std::int64_t groups, std::int64_t* out) {
  __shared__ std::int64_t part[kMostWarps];
  const int t = static_cast<int>(threadIdx.x), lane = t % kLanes, warp = t / kLanes;
  std::int64_t before = 0;
  if (t == 0) out[0] = 0;
  for (std::int64_t base = 0; base < groups; base += kMostWarps * kLanes) {
    const std::int64_t g = base + t;
    std::int64_t sum = sum_of_lanes_up_to(g < groups ? counts[g] : 0);
    if (lane == kLanes - 1) part[warp] = sum;
    __syncthreads();
    if (warp == 0) part[lane] = sum_of_lanes_up_to(part[lane]);
    __syncthreads();
    sum += before + (warp > 0 ? part[warp - 1] : 0);
    if (g < groups) out[g + 1] = sum;
    before += part[kMostWarps - 1];
    __syncthreads();  // before the next tile overwrites the parts
  }
}

// Moves the picks of each group together, a warp each, and counts them over the whole input. Groups of offsets that go
// back and forth can overlap and have more picks than there is room for; those are left out.
__global__ void __launch_bounds__(kWarps * kLanes)
    gather(Batch batch, Workspace space, const std::int64_t* out_offsets, std::int64_t* index, double* decayed) {
  const std::int64_t g = group_of_warp();
  if (g >= batch.groups) return;
  const std::int64_t a = batch.offsets[g], to = out_offsets[g], count = space.counts[g];
  for (std::int64_t j = threadIdx.x % kLanes; j < count && to + j < batch.n; j += kLanes) {
    index[to + j] = a + space.picked[a + j];
    decayed[to + j] = space.value[a + j];
  }
}

__global__ void clear(std::int64_t* fault) { *fault = kSoundFault; }

__global__ void look(Batch batch, std::int64_t* fault) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  std::int64_t found = kSoundFault;
  if (i < batch.n) {
    const double s = batch.segments[2 * i], e = batch.segments[2 * i + 1];
    if (!isfinite(s) || !isfinite(e)) {
      found = 8 * i + kNotFinite;
    } else if (e < s) {
      found = 8 * i + kSwapped;
    } else if (!isfinite(batch.scores[i])) {
      found = 8 * i + kScoreNotFinite;
    }
  }
  if (i < batch.groups && found == kSoundFault) {
    const std::int64_t a = batch.offsets[i], b = batch.offsets[i + 1];
    if (a > b || (i == 0 && a != 0) || (i == batch.groups - 1 && b != batch.n)) {
      found = 8 * i + kOffsets;
    } else if (b - a > batch.largest) {
      found = 8 * i + kLargest;
    }
  }
  if (found != kSoundFault) atomicMin(reinterpret_cast<long long*>(fault), static_cast<long long>(found));
}

template <class T>
struct Same {
  using type = T;
};

template <class... P>
cudaError_t launch(void (*kernel)(P...), std::int64_t blocks, int threads, std::size_t shared, cudaStream_t stream,
                   typename Same<P>::type... given) {
  void* arguments[] = {static_cast<void*>(&given)...};
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(blocks)),
                          dim3(static_cast<unsigned>(threads)), arguments, shared, stream);
}

std::int64_t in_blocks(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

// A few members for each thread, so that barriers stay cheap.
int threads_for(std::int64_t largest) {
  int threads = 128;
  while (threads < kMostWarps * kLanes && threads * 4 < largest) threads *= 2;
  return threads;
}

std::size_t room_for(std::int64_t largest) {
  const std::int64_t n = largest < kShared ? largest : kShared;
  return static_cast<std::size_t>(n) * (3 * sizeof(double) + 1);
}

}  // namespace

std::size_t lay_out(std::int64_t n, std::int64_t groups, std::int64_t largest, void* memory,
                    Workspace& space) noexcept {
  const std::size_t size = static_cast<std::size_t>(n), word = 8;
  const bool spills = largest > kShared;
  char* at = static_cast<char*>(memory);
  std::size_t bytes = 0;
  const auto part = [&](std::size_t length) {
    char* here = at ? at + bytes : nullptr;
    bytes += (length + word - 1) / word * word;
    return here;
  };
  space.picked = reinterpret_cast<std::int64_t*>(part(size * word));
  space.value = reinterpret_cast<double*>(part(size * word));
  space.counts = reinterpret_cast<std::int64_t*>(part(static_cast<std::size_t>(groups) * word));
  space.members = spills ? reinterpret_cast<double*>(part(3 * size * word)) : nullptr;
  space.locked = spills ? reinterpret_cast<signed char*>(part(size)) : nullptr;
  return bytes;
}

cudaError_t inspect(const Batch& batch, std::int64_t* fault, cudaStream_t stream) noexcept {
  cudaError_t error = launch(clear, 1, 1, 0, stream, fault);
  const std::int64_t count = batch.n > batch.groups ? batch.n : batch.groups;
  if (error == cudaSuccess && count > 0) error = launch(look, in_blocks(count, 256), 256, 0, stream, batch, fault);
  return error;
}

cudaError_t adapt(const Batch& batch, double threshold, double* out, const Workspace& space,
                  cudaStream_t stream) noexcept {
  if (batch.groups == 0 || batch.n == 0) return cudaSuccess;
  cudaError_t error = launch(adapt_small, in_blocks(batch.groups, kWarps), kWarps * kLanes, 0, stream, batch,
                             threshold, out);
  if (error == cudaSuccess && batch.largest > kWarp) {
    error = launch(adapt_large, batch.groups, threads_for(batch.largest), room_for(batch.largest), stream, batch,
                   threshold, out, space);
  }
  return error;
}

cudaError_t suppress(const Batch& batch, double scale, double floor, double extra, std::int64_t* index, double* decayed,
                     std::int64_t* out_offsets, const Workspace& space, cudaStream_t stream) noexcept {
  cudaError_t error = cudaSuccess;
  if (batch.groups > 0) {
    error = launch(pick_small, in_blocks(batch.groups, kWarps), kWarps * kLanes, 0, stream, batch, scale, floor, extra,
                   space);
  }
  if (error == cudaSuccess && batch.largest > kWarp && batch.groups > 0) {
    error = launch(pick_large, batch.groups, threads_for(batch.largest), room_for(batch.largest), stream, batch, scale,
                   floor, extra, space);
  }
  if (error == cudaSuccess) {
    error = launch(add_up, 1, kMostWarps * kLanes, 0, stream, space.counts, batch.groups, out_offsets);
  }
  if (error == cudaSuccess && batch.groups > 0) {
    error = launch(gather, in_blocks(batch.groups, kWarps), kWarps * kLanes, 0, stream, batch, space, out_offsets,
                   index, decayed);
  }
  return error;
}

}  // namespace punctum::cuda
