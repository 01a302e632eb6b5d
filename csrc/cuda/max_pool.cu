// 2 x 2 max-pooling after a ReLU on CUDA, and its gradient, in channels-last memory.
//
// Per value of x of b bytes: the maxima read b and write b / 4; the gradient reads 5 b / 4 and writes b. A
// thread owns one window of a group of channels of 16 bytes, or of one channel for doubles and for numbers of
// channels that do not divide into groups.
#include <torch/csrc/stable/library.h>

#include "channels.cuh"
#include "max_pool.h"

namespace fastphoto {
namespace {

constexpr int kThreads = 256;

struct PoolShape {
  int64_t windows;                   // B * rows * columns * groups
  int groups;                        // of channels
  int height, width, rows, columns;  // of x, and of the windows
};

struct PoolPosition {
  int64_t first;      // the window's first pixel in x, counted in groups of channels
  PoolWindow window;  // offsets of its other pixels
  int row, column;    // of its first pixel
};

// Where window number n lies.
__device__ inline PoolPosition pool_position(const PoolShape& s, int64_t n) {
  const int group = static_cast<int>(n % s.groups);
  const int64_t pixel = n / s.groups;
  const int column = static_cast<int>(pixel % s.columns) * 2;
  const int64_t line = pixel / s.columns;
  const int row = static_cast<int>(line % s.rows) * 2;
  const int64_t first = ((line / s.rows * s.height + row) * s.width + column) * s.groups + group;
  return {first, pool_window(row, column, s.height, s.width), row, column};
}

template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads) pool_kernel(PoolShape s, const T* x, T* out) {
  using Lanes = Group<T, kLanes>;
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (n >= s.windows) return;
  const PoolPosition position = pool_position(s, n);
  const Lanes* from = reinterpret_cast<const Lanes*>(x) + position.first;
  const Lanes a = from[0], b = from[position.window.right * s.groups],
              c = from[position.window.below * s.groups], d = from[position.window.diagonal * s.groups];
  Lanes y;
#pragma unroll
  for (int i = 0; i < kLanes; ++i)
    set(y.lane[i], pool_maximum(number(a.lane[i]), number(b.lane[i]), number(c.lane[i]), number(d.lane[i])));
  reinterpret_cast<Lanes*>(out)[n] = y;
}

// Windows cover all of x, except its last row or column if a size is odd and rounded down. The windows beside
// that row or column write its zeros.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads)
    pool_backward_kernel(PoolShape s, const T* grad, const T* x, T* out) {
  using Lanes = Group<T, kLanes>;
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (n >= s.windows) return;
  const PoolPosition position = pool_position(s, n);
  const Lanes* from = reinterpret_cast<const Lanes*>(x) + position.first;
  Lanes* to = reinterpret_cast<Lanes*>(out) + position.first;
  const int64_t right = position.window.right * s.groups, below = position.window.below * s.groups;
  const Lanes a = from[0], b = from[right], c = from[below], d = from[right + below];
  // Find the pixel that receives the gradient, channel by channel.
  const Lanes g = reinterpret_cast<const Lanes*>(grad)[n];
  Lanes da, db, dc, dd, zero;
#pragma unroll
  for (int i = 0; i < kLanes; ++i) {
    const int receiver =
        pool_receiver(number(a.lane[i]), number(b.lane[i]), number(c.lane[i]), number(d.lane[i]));
    set(zero.lane[i], 0);
    da.lane[i] = receiver == 0 ? g.lane[i] : zero.lane[i];
    db.lane[i] = receiver == 1 ? g.lane[i] : zero.lane[i];
    dc.lane[i] = receiver == 2 ? g.lane[i] : zero.lane[i];
    dd.lane[i] = receiver == 3 ? g.lane[i] : zero.lane[i];
  }
  // Write the window's pixels, but none beyond the border.
  to[0] = da;
  if (right) to[right] = db;
  if (below) to[below] = dc;
  if (right && below) to[right + below] = dd;
  // Write the zeros of a row or column without windows.
  const bool last_column = position.column + 3 == s.width, last_row = position.row + 3 == s.height;
  const int64_t line = static_cast<int64_t>(s.width) * s.groups;
  if (last_column && s.columns == s.width / 2) {
    to[2 * s.groups] = zero;
    if (below) to[2 * s.groups + below] = zero;
  }
  if (last_row && s.rows == s.height / 2) {
    to[2 * line] = zero;
    if (right) to[2 * line + right] = zero;
    if (last_column && s.columns == s.width / 2) to[2 * line + 2 * s.groups] = zero;
  }
}

PoolShape shape_of(const Checks& checks, const Tensor& x, int64_t rows, int64_t columns, int lanes) {
  check_pixels(checks, x.size(2), x.size(3));
  const int64_t groups = x.size(1) / lanes;
  const int64_t windows = x.size(0) * rows * columns * groups;
  checks.that(ceil_divide<int64_t>(windows, kThreads) <= std::numeric_limits<int32_t>::max(), "x is ",
              Checks::describe(x), ", too large for the CUDA kernel");
  return {windows,
          static_cast<int>(groups),
          static_cast<int>(x.size(2)),
          static_cast<int>(x.size(3)),
          static_cast<int>(rows),
          static_cast<int>(columns)};
}

// Calls use(a value of the element type, the number of lanes): a group of 16 bytes if number of channels and
// all pointers allow it, else one channel.
template <class F>
void with_lanes(const Tensor& x, const void* one, const void* other, const void* third, const F& use) {
  const bool whole = aligned(one) && aligned(other) && aligned(third);
  const int64_t channels = x.size(1);
  if (x.scalar_type() == ScalarType::Float) {
    whole&& channels % 4 == 0 ? use(float(), std::integral_constant<int, 4>())
                              : use(float(), std::integral_constant<int, 1>());
  } else if (x.scalar_type() == ScalarType::BFloat16) {
    whole&& channels % 8 == 0 ? use(__nv_bfloat16(), std::integral_constant<int, 8>())
                              : use(__nv_bfloat16(), std::integral_constant<int, 1>());
  } else {
    use(double(), std::integral_constant<int, 1>());
  }
}

void check_type(const Checks& checks, const Tensor& x) {
  if (x.scalar_type() != ScalarType::BFloat16) checks.floating("x", x);
}

Tensor max_pool(const Tensor& x, bool ceil) {
  const Checks checks("max_pool");
  check_type(checks, x);
  check_pool(checks, x, ceil);
  const Launcher launch(x);
  const int64_t rows = pooled_length(x.size(2), ceil), columns = pooled_length(x.size(3), ceil);
  const Tensor out = empty_activations(x, rows, columns);
  with_lanes(x, x.data_ptr(), out.data_ptr(), nullptr, [&](auto element, auto lanes) {
    using T = decltype(element);
    const PoolShape shape = shape_of(checks, x, rows, columns, lanes());
    launch(pool_kernel<T, lanes()>, ceil_divide<int64_t>(shape.windows, kThreads), kThreads, shape,
           static_cast<const T*>(x.data_ptr()), static_cast<T*>(out.data_ptr()));
  });
  return out;
}

Tensor max_pool_backward(const Tensor& grad, const Tensor& x) {
  const Checks checks("max_pool_backward");
  check_type(checks, x);
  check_pool_backward(checks, grad, x);
  const Launcher launch(x);
  const Tensor out = empty_activations(x, x.size(2), x.size(3));
  with_lanes(x, x.data_ptr(), out.data_ptr(), grad.data_ptr(), [&](auto element, auto lanes) {
    using T = decltype(element);
    const PoolShape shape = shape_of(checks, x, grad.size(2), grad.size(3), lanes());
    launch(pool_backward_kernel<T, lanes()>, ceil_divide<int64_t>(shape.windows, kThreads), kThreads, shape,
           static_cast<const T*>(grad.data_ptr()), static_cast<const T*>(x.data_ptr()),
           static_cast<T*>(out.data_ptr()));
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("max_pool", TORCH_BOX(&max_pool));
  m.impl("max_pool_backward", TORCH_BOX(&max_pool_backward));
}

}  // namespace fastphoto
