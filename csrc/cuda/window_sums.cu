// Plain and bilateral sums over square windows on CUDA. Both are symmetric and so their own gradients.
#include <torch/csrc/stable/library.h>

#include "window_arguments.h"
#include "window_sums.cuh"

namespace fastphoto {
namespace {

template <class T>
Tensor box_value(const Checks& checks, const Tensor& x, int64_t radius) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  check_pixels(checks, height, width);
  const Launcher launch(x);
  const Tensor x_planes = to_planes(x), out = empty_planes(x, planes, height, width);
  window_sums(checks, launch, x, x_planes.const_data_ptr<T>(), planes, height, width, radius,
              out.mutable_data_ptr<T>());
  return from_planes(out);
}

Tensor box_sum(const Tensor& x, int64_t radius) {
  const Checks checks("box_sum");
  check_sum(checks, x, radius);
  return x.scalar_type() == ScalarType::Float ? box_value<float>(checks, x, radius)
                                              : box_value<double>(checks, x, radius);
}

// ---- bilateral

constexpr int kTogether = 7;  // planes that share a weight; by eye

__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }

// out_i = sum over j in the window of exp(-|i - j|^2 space) exp(-|g_i - g_j|^2 colour) x_j, with a thread for
// each pixel and group of planes. Per neighbour: 3 + kTogether numbers from the caches, one exponential, and
// 8 + 2 kTogether flops.
template <class T>
__global__ void __launch_bounds__(kWindowThreads)
    bilateral_kernel(const T* guide, const T* x, int planes, int height, int width, int64_t radius,
                     double space, T colour, T* out) {
  const int64_t area = static_cast<int64_t>(height) * width;
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  if (pixel >= area) return;
  const int first = blockIdx.y * kTogether, count = min(kTogether, planes - first);
  const int column = static_cast<int>(pixel % width), row = static_cast<int>(pixel / width);
  const T g0 = guide[pixel], g1 = guide[pixel + area], g2 = guide[pixel + 2 * area];
  T sum[kTogether];
#pragma unroll
  for (int k = 0; k < kTogether; ++k) sum[k] = T(0);
  for (int64_t y = window_begin(row, radius); y < window_end(row, radius, height); ++y)
    for (int64_t i = window_begin(column, radius); i < window_end(column, radius, width); ++i) {
      const int64_t at = y * width + i;
      const T d0 = guide[at] - g0, d1 = guide[at + area] - g1, d2 = guide[at + 2 * area] - g2;
      const T distance = static_cast<T>(((y - row) * (y - row) + (i - column) * (i - column)) * space);
      const T weight = exponential(-(distance + (d0 * d0 + d1 * d1 + d2 * d2) * colour));
#pragma unroll
      for (int k = 0; k < kTogether; ++k)
        if (k < count) sum[k] += weight * x[(first + k) * area + at];
    }
#pragma unroll
  for (int k = 0; k < kTogether; ++k)
    if (k < count) out[(first + k) * area + pixel] = sum[k];
}

template <class T>
Tensor bilateral_value(const Checks& checks, const Tensor& guide, const Tensor& x, int64_t radius,
                       double sigma_space, double sigma_colour) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  check_pixels(checks, height, width);
  const int64_t groups = ceil_divide<int64_t>(planes, kTogether);
  checks.that(groups <= 65535, "x is ", Checks::describe(x), ", expected at most ", 65535 * kTogether,
              " planes");
  const Launcher launch(x);
  const Tensor guide_planes = to_planes(guide), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width);
  const dim3 grid(blocks_for(checks, height * width), static_cast<unsigned>(groups));
  // The colour distance is a mean over three channels.
  launch(bilateral_kernel<T>, grid, kWindowThreads, guide_planes.const_data_ptr<T>(),
         x_planes.const_data_ptr<T>(), static_cast<int>(planes), static_cast<int>(height),
         static_cast<int>(width), radius, 1.0 / (2 * sigma_space * sigma_space),
         static_cast<T>(1.0 / (6 * sigma_colour * sigma_colour)), out.mutable_data_ptr<T>());
  return from_planes(out);
}

Tensor bilateral_sum(const Tensor& guide, const Tensor& x, int64_t radius, double sigma_space,
                     double sigma_colour) {
  const Checks checks("bilateral_sum");
  check_bilateral(checks, guide, x, radius, sigma_space, sigma_colour);
  return x.scalar_type() == ScalarType::Float
             ? bilateral_value<float>(checks, guide, x, radius, sigma_space, sigma_colour)
             : bilateral_value<double>(checks, guide, x, radius, sigma_space, sigma_colour);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("box_sum", TORCH_BOX(&box_sum));
  m.impl("bilateral_sum", TORCH_BOX(&bilateral_sum));
}

}  // namespace fastphoto
