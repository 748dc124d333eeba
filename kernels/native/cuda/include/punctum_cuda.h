/* libpunctum_cuda: ABA and soft-NMS for batches of groups that lie on a CUDA device.
 *
 * Arrays are device memory (or managed memory), dense and row-major, in the forms of the kernels of punctum.h: segments
 * float64 [n, 2] with start <= end, scores float64 [n], offsets int64 [groups + 1] with 0 = o[0] <= ... <= o[groups]
 * = n; group g is [offsets[g], offsets[g + 1]). All belong to the caller; nothing is allocated, kept, or freed.
 *
 * Calls only put work onto `stream` (a cudaStream_t; NULL is the default stream) of the current device and return: they
 * neither wait nor read back, and may be captured into a CUDA graph after a first call that loaded the kernels. Arrays
 * have to stay until the stream is done. Calls are thread-safe as long as they do not share a workspace.
 *
 *   1. punctum_cuda_workspace(n, groups, largest, &bytes, &error)      then cudaMalloc that many bytes
 *   2. punctum_cuda_inspect(..., fault, stream, &error)                optional: finds NaN, swapped ends, bad offsets
 *   3. punctum_cuda_adapt_groups / punctum_cuda_suppress_groups
 *
 * largest: members of the largest group, or any bound of it. A group with more members, or with offsets outside of
 * 0..n, is left alone: its adapted segments are not written, and nothing of it is picked. No call reads or writes
 * beyond the arrays, whatever they hold. NaN in them gives numbers without meaning.
 *
 * Results: picks and decayed scores are those of punctum_suppress_groups, bit for bit, where no score is negative; the
 * moved ends are those of punctum_adapt_groups up to the order of its sums (about 1e-15 of a length).
 */
#ifndef PUNCTUM_CUDA_H
#define PUNCTUM_CUDA_H

#include "punctum.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What punctum_cuda_inspect leaves where nothing is wrong. */
#define PUNCTUM_CUDA_SOUND INT64_MAX

/* PUNCTUM_OK if this process has a device that the library can use; else PUNCTUM_ERROR_DEVICE, and the reason. */
PUNCTUM_API punctum_status punctum_cuda_available(int32_t* devices, punctum_error* error) PUNCTUM_NOEXCEPT;

/* Bytes of device memory that one call needs; enough for adapting and for suppressing. Needs no device. */
PUNCTUM_API punctum_status punctum_cuda_workspace(size_t n, size_t groups, size_t largest, size_t* bytes,
                                                  punctum_error* error) PUNCTUM_NOEXCEPT;

/* One pass over the input. fault: one int64 of device memory; gets PUNCTUM_CUDA_SOUND or the first thing found wrong. */
PUNCTUM_API punctum_status punctum_cuda_inspect(const double* segments, const double* scores, size_t n,
                                                const int64_t* offsets, size_t groups, size_t largest, int64_t* fault,
                                                void* stream, punctum_error* error) PUNCTUM_NOEXCEPT;
/* What a fault, copied to the host, says: PUNCTUM_OK, or PUNCTUM_ERROR_ARGUMENT with the row. Needs no device. */
PUNCTUM_API punctum_status punctum_cuda_fault(int64_t fault, punctum_error* error) PUNCTUM_NOEXCEPT;

/* ABA of every group: out [n, 2] in the order of the input. workspace is aligned to 8 bytes. */
PUNCTUM_API punctum_status punctum_cuda_adapt_groups(const double* segments, const double* scores, size_t n,
                                                     const int64_t* offsets, size_t groups, size_t largest,
                                                     double iou_threshold, double* out, void* workspace,
                                                     size_t workspace_bytes, void* stream,
                                                     punctum_error* error) PUNCTUM_NOEXCEPT;
/* Gaussian soft-NMS of every group: index [n] and decayed [n] hold the picks of all groups one after the other,
 * out_offsets [groups + 1] where each begins; out_offsets[groups] entries are written. Indices count over all input. */
PUNCTUM_API punctum_status punctum_cuda_suppress_groups(const double* segments, const double* scores, size_t n,
                                                        const int64_t* offsets, size_t groups, size_t largest,
                                                        double sigma, double min_score, double length_offset,
                                                        int64_t* index, double* decayed, int64_t* out_offsets,
                                                        void* workspace, size_t workspace_bytes, void* stream,
                                                        punctum_error* error) PUNCTUM_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
