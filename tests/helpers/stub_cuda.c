/* A CUDA driver without a device, for tests: the functions that punctum.runtime.engines.cuda calls, over host memory.
 *
 * Work is as late as a driver may make it: a stream's copies and host functions wait in a queue until somebody
 * synchronizes, a captured stream only records, and device addresses are not host addresses, so that code which reads
 * too early, or mixes the two kinds, gets it wrong here as well. With -DWITH_CUDA_H the compiler checks every
 * signature against the real header.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef WITH_CUDA_H
#include <cuda.h>
#else
typedef int CUresult, CUdevice, CUdevice_attribute, CUstreamCaptureMode;
typedef unsigned long long CUdeviceptr, cuuint64_t;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef void (*CUhostFn)(void *);
#define CUDA_SUCCESS 0
#define CUDA_ERROR_INVALID_VALUE 1
#define CUDA_ERROR_OUT_OF_MEMORY 2
#define CUDA_ERROR_NO_DEVICE 100
#define CUDA_ERROR_INVALID_CONTEXT 201
#define CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED 900
#endif

#define DEVICE_BIT (1ull << 62)
#define MOST 256

typedef struct { int kind; void *to; void *from; size_t size; CUhostFn call; void *data; } Op;
typedef struct { Op ops[MOST]; int count; } List;
struct CUgraph_st { List list; };
struct CUgraphExec_st { List list; };
struct CUstream_st { List queue; CUgraph capture; };

static struct { int blocks, streams, graphs, launches, runs, fail_in, devices, error, capability, refuse_capture; }
    state = {.devices = 1, .capability = 89};
static _Thread_local CUcontext current;
static int context_object;

/* For tests. */
int stub_count(int what) {
    int all[] = {state.blocks, state.streams, state.graphs, state.launches, state.runs};
    return all[what];
}
void stub_set(int what, int value) {
    int *all[] = {&state.fail_in, &state.devices, &state.error, &state.capability, &state.refuse_capture};
    *all[what] = value;
}
void *stub_host(CUdeviceptr address) { return (void *)(uintptr_t)(address & ~DEVICE_BIT); }

static CUresult push(CUstream stream, Op op) {
    List *list = stream->capture ? &stream->capture->list : &stream->queue;
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (list->count == MOST) return CUDA_ERROR_OUT_OF_MEMORY;
    list->ops[list->count++] = op;
    return CUDA_SUCCESS;
}

CUresult cuInit(unsigned int flags) { (void)flags; return state.error; }
CUresult cuDriverGetVersion(int *version) { *version = 13010; return CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int *count) { *count = state.devices; return CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    *device = ordinal;
    return ordinal < state.devices ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}
CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    (void)device;
    strncpy(name, "Stub GPU", (size_t)length);
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    (void)device;
    *value = attribute == 75 ? state.capability / 10 : attribute == 76 ? state.capability % 10 : -1;
    return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    (void)device;
    *context = (CUcontext)&context_object;
    return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) { current = context; return CUDA_SUCCESS; }

static CUresult take(void **block, size_t size) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (!size) return CUDA_ERROR_INVALID_VALUE;
    if (state.fail_in && !--state.fail_in) return CUDA_ERROR_OUT_OF_MEMORY;
    *block = malloc(size);
    memset(*block, 0xff, size); /* NaN: whoever reads what was never written sees it */
    state.blocks++;
    return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    void *block;
    CUresult code = take(&block, size);
    if (!code) *address = (CUdeviceptr)(uintptr_t)block | DEVICE_BIT;
    return code;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
    if (!(address & DEVICE_BIT)) return CUDA_ERROR_INVALID_VALUE;
    free(stub_host(address));
    state.blocks--;
    return CUDA_SUCCESS;
}
CUresult cuMemHostAlloc(void **block, size_t size, unsigned int flags) { (void)flags; return take(block, size); }
CUresult cuMemFreeHost(void *block) {
    free(block);
    state.blocks--;
    return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    if (!(to & DEVICE_BIT) || ((uintptr_t)from & DEVICE_BIT)) return CUDA_ERROR_INVALID_VALUE;
    return push(stream, (Op){0, stub_host(to), (void *)from, size, 0, 0});
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    if (!(from & DEVICE_BIT) || ((uintptr_t)to & DEVICE_BIT)) return CUDA_ERROR_INVALID_VALUE;
    return push(stream, (Op){0, to, stub_host(from), size, 0, 0});
}
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn call, void *data) {
    return push(stream, (Op){1, 0, 0, 0, call, data});
}
CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
    (void)flags;
    *stream = calloc(1, sizeof **stream);
    state.streams++;
    return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
    free(stream);
    state.streams--;
    return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream stream) {
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    for (int k = 0; k < stream->queue.count; k++) {
        Op *op = &stream->queue.ops[k];
        if (op->kind) {
            op->call(op->data);
            state.runs++;
        } else {
            memcpy(op->to, op->from, op->size);
        }
    }
    stream->queue.count = 0;
    return CUDA_SUCCESS;
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    if (mode != 1 || stream->capture) return CUDA_ERROR_INVALID_VALUE;
    if (state.refuse_capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    stream->capture = calloc(1, sizeof *stream->capture);
    return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    if (!stream->capture) return CUDA_ERROR_INVALID_VALUE;
    *graph = stream->capture;
    stream->capture = 0;
    return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
    (void)flags;
    *executable = calloc(1, sizeof **executable);
    (*executable)->list = graph->list;
    state.graphs++;
    return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    CUresult code = CUDA_SUCCESS;
    for (int k = 0; k < executable->list.count && !code; k++) code = push(stream, executable->list.ops[k]);
    state.launches++;
    return code;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
    free(executable);
    state.graphs--;
    return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
    free(graph);
    return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult code, const char **text) {
    *text = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OTHER";
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult code, const char **text) {
    *text = code == 2 ? "out of memory" : "something else";
    return CUDA_SUCCESS;
}
