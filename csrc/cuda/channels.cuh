// Loads and stores of neighbouring channels at once, and conversions for every type that activations have.
#pragma once

#include <cuda_bf16.h>

#include "launch.h"

namespace fastphoto {

// kLanes neighbouring channels of a pixel.
template <class T, int kLanes>
struct alignas(sizeof(T) * kLanes) Group {
  T lane[kLanes];
};

// Memory may hold bfloat16, but arithmetic on it is in float.
__device__ inline float number(float x) { return x; }
__device__ inline double number(double x) { return x; }
__device__ inline float number(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ inline void set(float& to, float x) { to = x; }
__device__ inline void set(double& to, double x) { to = x; }
__device__ inline void set(__nv_bfloat16& to, float x) { to = __float2bfloat16(x); }

inline bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

}  // namespace fastphoto
