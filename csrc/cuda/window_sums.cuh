// Sums over square windows, cropped at the border, on CUDA. The cost does not grow with large windows.
//
// Small windows are summed directly, with pixels from the caches. Large ones slide first down the columns and
// then along the rows, each thread over a segment as long as the window, reading two numbers for each sum.
#pragma once

#include <algorithm>

#include "launch.h"

namespace fastphoto {

constexpr int64_t kDirectRadius = 4;  // the largest radius of windows that are summed directly; by eye
constexpr int kWindowThreads = 256;

__device__ inline int64_t window_begin(int64_t position, int64_t radius) {
  return position > radius ? position - radius : 0;
}
__device__ inline int64_t window_end(int64_t position, int64_t radius, int64_t size) {
  return position + radius < size ? position + radius + 1 : size;
}

// out[n] = the sum of the window around n in its plane.
template <class In, class Out>
__global__ void __launch_bounds__(kWindowThreads)
    direct_sum_kernel(const In* x, int64_t values, int height, int width, int radius, Out* out) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  if (n >= values) return;
  const int column = static_cast<int>(n % width), row = static_cast<int>(n / width % height);
  const In* plane = x + n / width / height * height * width;
  double sum = 0;
  for (int64_t y = window_begin(row, radius); y < window_end(row, radius, height); ++y)
    for (int64_t i = window_begin(column, radius); i < window_end(column, radius, width); ++i)
      sum += static_cast<double>(plane[y * width + i]);
  out[n] = static_cast<Out>(sum);
}

// Sums along lines of `length` numbers that lie `inner` apart: columns with inner = width, or rows with
// inner = 1. Line l begins at l / inner * (inner * length) + l % inner; each segment of a line has a thread.
template <class In, class Out>
__global__ void __launch_bounds__(kWindowThreads)
    slide_kernel(const In* x, int64_t lines, int length, int64_t inner, int64_t segment, int64_t radius,
                 Out* out) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  const int64_t line = n % lines, begin = n / lines * segment;
  if (begin >= length) return;
  const int64_t start = line / inner * inner * length + line % inner;
  double sum = 0;
  for (int64_t i = window_begin(begin, radius); i < window_end(begin, radius, length); ++i)
    sum += static_cast<double>(x[start + i * inner]);
  for (int64_t i = begin; i < begin + segment && i < length; ++i) {
    out[start + i * inner] = static_cast<Out>(sum);
    if (i + radius + 1 < length) sum += static_cast<double>(x[start + (i + radius + 1) * inner]);
    if (i >= radius) sum -= static_cast<double>(x[start + (i - radius) * inner]);
  }
}

inline unsigned blocks_for(const Checks& checks, int64_t threads) {
  const int64_t blocks = ceil_divide<int64_t>(threads, kWindowThreads);
  checks.that(blocks <= std::numeric_limits<int32_t>::max(), "the picture is too large for the CUDA kernels");
  return static_cast<unsigned>(blocks);
}

inline Tensor empty_double_planes(const Tensor& like, int64_t planes, int64_t height, int64_t width) {
  return torch::stable::new_empty(like, {planes, height, width}, ScalarType::Double);
}

// out (planes, height, width) = the window sums of x (planes, height, width), accumulated in double.
template <class In, class Out>
void window_sums(const Checks& checks, const Launcher& launch, const Tensor& like, const In* x,
                 int64_t planes, int64_t height, int64_t width, int64_t radius, Out* out) {
  const int64_t values = planes * height * width;
  if (radius <= kDirectRadius) {
    launch(direct_sum_kernel<In, Out>, blocks_for(checks, values), kWindowThreads, x, values,
           static_cast<int>(height), static_cast<int>(width), static_cast<int>(radius), out);
    return;
  }
  const Tensor columns = empty_double_planes(like, planes, height, width);
  double* sums = columns.mutable_data_ptr<double>();
  const int64_t segment = std::max<int64_t>(64, 2 * radius + 1);
  const int64_t down = planes * width, along = planes * height;
  launch(slide_kernel<In, double>, blocks_for(checks, down * ceil_divide(height, segment)), kWindowThreads, x,
         down, static_cast<int>(height), width, segment, radius, sums);
  launch(slide_kernel<double, Out>, blocks_for(checks, along * ceil_divide(width, segment)), kWindowThreads,
         static_cast<const double*>(sums), along, static_cast<int>(width), int64_t{1}, segment, radius, out);
}

}  // namespace fastphoto
