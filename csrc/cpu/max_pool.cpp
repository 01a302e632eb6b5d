// 2 x 2 max-pooling after a ReLU on the CPU, and its gradient, in channels-last memory. The lanes of a vector
// are channels: a channel has the same position in all four pixels of a window.
//
// Per value of x of b bytes: the maxima read b and write b / 4; the gradient reads 5 b / 4 and writes b.
#include "max_pool.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

template <class T>
FASTPHOTO_INLINE void pool_channels(const T* __restrict a, const T* __restrict b, const T* __restrict c,
                                    const T* __restrict d, int64_t channels, T* __restrict out) {
  for (int64_t k = 0; k < channels; ++k) out[k] = pool_maximum(a[k], b[k], c[k], d[k]);
}

// One row of maxima; `row` is the first row of its windows, number y of the image.
template <class T>
FASTPHOTO_INLINE void pool_pixels(const T* row, int64_t y, int64_t height, int64_t width, int64_t channels,
                                  int64_t columns, T* out) {
  for (int64_t j = 0; j < columns; ++j, out += channels) {
    const PoolWindow window = pool_window(y, 2 * j, height, width);
    const T* a = row + 2 * j * channels;
    pool_channels(a, a + window.right * channels, a + window.below * channels, a + window.diagonal * channels,
                  channels, out);
  }
}

// The gradients of a window's four pixels, of which at most one is not zero in each channel.
template <class T>
FASTPHOTO_INLINE void share_out(const T* __restrict g, const T* __restrict a, const T* __restrict b,
                                const T* __restrict c, const T* __restrict d, int64_t channels,
                                T* __restrict da, T* __restrict db, T* __restrict dc, T* __restrict dd) {
  for (int64_t k = 0; k < channels; ++k) {
    // The first pixel that equals the maximum takes the gradient, as in pool_receiver, but without branches:
    // after_a is what is left when a had its turn.
    const T y = pool_maximum(a[k], b[k], c[k], d[k]), value = y > T(0) ? g[k] : T(0);
    const T after_a = a[k] == y ? T(0) : value, after_b = b[k] == y ? T(0) : after_a;
    da[k] = a[k] == y ? value : T(0);
    db[k] = b[k] == y ? after_a : T(0);
    dc[k] = c[k] == y ? after_b : T(0);
    dd[k] = c[k] == y ? T(0) : after_b;
  }
}

// The gradients of the two rows of pixels under one row of windows.
template <class T>
FASTPHOTO_INLINE void pool_pixels_backward(const T* grad, const T* row, int64_t y, int64_t height,
                                           int64_t width, int64_t channels, int64_t columns, T* out,
                                           T* unused) {
  for (int64_t j = 0; j < columns; ++j) {
    const PoolWindow window = pool_window(y, 2 * j, height, width);
    const int64_t at = 2 * j * channels, right = window.right * channels, below = window.below * channels,
                  diagonal = window.diagonal * channels;
    const T* a = row + at;
    T* da = out + at;
    // A pixel beyond the border repeats one inside. Its gradient is zero and must not overwrite that one.
    share_out(grad + j * channels, a, a + right, a + below, a + diagonal, channels, da,
              window.right ? da + right : unused, window.below ? da + below : unused + channels,
              window.right && window.below ? da + diagonal : unused + 2 * channels);
  }
}

template <class T>
Tensor pool_value(const Tensor& x, bool ceil) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t rows = pooled_length(height, ceil), columns = pooled_length(width, ceil);
  const Tensor out = empty_activations(x, rows, columns);
  const T* data = x.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  parallel_for(0, x.size(0) * rows, 4, [&](int64_t begin, int64_t end) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / rows, y = i % rows * 2;
        pool_pixels(data + (image * height + y) * width * channels, y, height, width, channels, columns,
                    out_data + i * columns * channels);
      }
    });
  });
  return out;
}

Tensor max_pool(const Tensor& x, bool ceil) {
  const Checks checks("max_pool");
  checks.floating("x", x);
  check_pool(checks, x, ceil);
  return x.scalar_type() == ScalarType::Float ? pool_value<float>(x, ceil) : pool_value<double>(x, ceil);
}

template <class T>
Tensor pool_gradient(const Tensor& grad, const Tensor& x) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t rows = grad.size(2), columns = grad.size(3);
  const Tensor out = empty_activations(x, height, width);
  const T* grad_data = grad.const_data_ptr<T>();
  const T* data = x.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  const int64_t pairs = (height + 1) / 2;  // of rows; the last one may have no windows
  parallel_for(0, x.size(0) * pairs, 4, [&](int64_t begin, int64_t end) {
    std::vector<T> unused(3 * channels);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / pairs, y = i % pairs * 2, row = (image * height + y) * width * channels;
      if (i % pairs >= rows)
        std::fill_n(out_data + row, width * channels, T(0));
      else
        vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
          pool_pixels_backward(grad_data + (image * rows + i % pairs) * columns * channels, data + row, y,
                               height, width, channels, columns, out_data + row, unused.data());
        });
      if (2 * columns >= width) continue;  // the last column has windows
      for (int64_t line = y; line < std::min(height, y + 2); ++line)
        std::fill_n(out_data + ((image * height + line) * width + width - 1) * channels, channels, T(0));
    }
  });
  return out;
}

Tensor max_pool_backward(const Tensor& grad, const Tensor& x) {
  const Checks checks("max_pool_backward");
  checks.floating("x", x);
  check_pool_backward(checks, grad, x);
  return x.scalar_type() == ScalarType::Float ? pool_gradient<float>(grad, x)
                                              : pool_gradient<double>(grad, x);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("max_pool", TORCH_BOX(&max_pool));
  m.impl("max_pool_backward", TORCH_BOX(&max_pool_backward));
}

}  // namespace fastphoto
