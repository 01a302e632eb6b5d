// Sums over the threads of a block in a fixed order, and over the blocks.
#pragma once

#include "launch.h"

namespace fastphoto {

// The sum over the kThreads threads of a block, returned to its first thread; every thread must call it.
template <int kThreads>
__device__ inline double block_sum(double value) {
  __shared__ double warps[kThreads / 32];
  const int thread = threadIdx.x + blockDim.x * threadIdx.y;
#pragma unroll
  for (int delta = 16; delta > 0; delta /= 2) value += __shfl_down_sync(0xffffffffu, value, delta);
  if (thread % 32 == 0) warps[thread / 32] = value;
  __syncthreads();
  double total = 0;
  if (thread == 0) {
#pragma unroll
    for (int warp = 0; warp < kThreads / 32; ++warp) total += warps[warp];
  }
  __syncthreads();  // before the next sum overwrites `warps`
  return total;
}

// Launched as one block: out[0] = the sum of the partial sums.
template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads) total_kernel(const double* partial, int64_t count, T* out) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += partial[i];
  const double total = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) out[0] = static_cast<T>(total);
}

inline Tensor empty_doubles(const Tensor& like, int64_t count) {
  return torch::stable::new_empty(like, {count}, ScalarType::Double);
}

}  // namespace fastphoto
