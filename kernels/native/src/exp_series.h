// exp(y) for |y| <= ln 2 / 2, exact to a rounding and exactly 1 at 0: the series of soft-NMS, on the host and the device.
// Operation by operation as in Python; what includes it is built without contraction of a * b + c.
#pragma once

#ifdef __CUDACC__
#define PUNCTUM_SERIES __host__ __device__ __forceinline__
#else
#define PUNCTUM_SERIES inline
#endif

namespace punctum {

PUNCTUM_SERIES double exp_series(double y) {
  double p = y * (1.0 / 479001600.0) + 1.0 / 39916800.0;
  p = p * y + 1.0 / 3628800.0;
  p = p * y + 1.0 / 362880.0;
  p = p * y + 1.0 / 40320.0;
  p = p * y + 1.0 / 5040.0;
  p = p * y + 1.0 / 720.0;
  p = p * y + 1.0 / 120.0;
  p = p * y + 1.0 / 24.0;
  p = p * y + 1.0 / 6.0;
  p = p * y + 0.5;
  p = p * y + 1.0;
  p = p * y + 1.0;
  return p;
}

}  // namespace punctum
