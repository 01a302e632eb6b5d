// 2 x 2 max-pooling after a ReLU on the CPU, and its gradient, in channels-last memory: lanes are channels.
#include "max_pool.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>

#include "vector.h"

namespace fastphoto {
namespace {

template <class T>
FASTPHOTO_INLINE void pool_pixels(const T* row, int64_t y, int64_t height, int64_t width, int64_t channels,
                                  int64_t columns, T* out) {
  for (int64_t j = 0; j < columns; ++j, out += channels) {
    const PoolWindow window = pool_window(y, 2 * j, height, width);
    const T* a = row + 2 * j * channels;
    const T *b = a + window.right * channels, *c = a + window.below * channels,
            *d = a + window.diagonal * channels;
    for (int64_t k = 0; k < channels; ++k) out[k] = pool_value(a[k], b[k], c[k], d[k]);
  }
}

// Windows that reach over the border write the places they repeat first, and so the right value last.
template <class T>
FASTPHOTO_INLINE void pool_pixels_backward(const T* grad, const T* row, int64_t y, int64_t height,
                                           int64_t width, int64_t channels, int64_t columns, T* out) {
  for (int64_t j = 0; j < columns; ++j) {
    const PoolWindow window = pool_window(y, 2 * j, height, width);
    const int64_t at = 2 * j * channels;
    const T *a = row + at, *b = a + window.right * channels, *c = a + window.below * channels,
            *d = a + window.diagonal * channels, *g = grad + j * channels;
    T *da = out + at, *db = da + window.right * channels, *dc = da + window.below * channels,
      *dd = da + window.diagonal * channels;
    for (int64_t k = 0; k < channels; ++k) {
      const int receiver = pool_receiver(a[k], b[k], c[k], d[k]);
      const T value = g[k];
      dd[k] = receiver == 3 ? value : T(0);
      dc[k] = receiver == 2 ? value : T(0);
      db[k] = receiver == 1 ? value : T(0);
      da[k] = receiver == 0 ? value : T(0);
    }
  }
}

#define FASTPHOTO_POOL(T)                                                                                  \
  FASTPHOTO_CLONES void run_pool(const T* row, int64_t y, int64_t height, int64_t width, int64_t channels, \
                                 int64_t columns, T* out) {                                                \
    pool_pixels<T>(row, y, height, width, channels, columns, out);                                         \
  }                                                                                                        \
  FASTPHOTO_CLONES void run_pool_backward(const T* grad, const T* row, int64_t y, int64_t height,          \
                                          int64_t width, int64_t channels, int64_t columns, T* out) {      \
    pool_pixels_backward<T>(grad, row, y, height, width, channels, columns, out);                          \
  }
FASTPHOTO_POOL(float)
FASTPHOTO_POOL(double)
#undef FASTPHOTO_POOL

template <class T>
Tensor pool(const Tensor& x, bool ceil) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t rows = pooled_length(height, ceil), columns = pooled_length(width, ceil);
  const Tensor out = empty_activations(x, rows, columns);
  const T* data = x.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  torch::stable::parallel_for(0, x.size(0) * rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / rows, y = i % rows * 2;
      run_pool(data + (image * height + y) * width * channels, y, height, width, channels, columns,
               out_data + i * columns * channels);
    }
  });
  return out;
}

Tensor max_pool(const Tensor& x, bool ceil) {
  const Checks checks("max_pool");
  checks.floating("x", x);
  check_pool(checks, x, ceil);
  return x.scalar_type() == ScalarType::Float ? pool<float>(x, ceil) : pool<double>(x, ceil);
}

template <class T>
Tensor pool_backward(const Tensor& grad, const Tensor& x) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t rows = grad.size(2), columns = grad.size(3);
  const Tensor out = empty_activations(x, height, width);
  const T* grad_data = grad.const_data_ptr<T>();
  const T* data = x.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  const int64_t pairs = (height + 1) / 2;  // of rows; the last one may be of no window
  torch::stable::parallel_for(0, x.size(0) * pairs, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / pairs, y = i % pairs * 2, row = (image * height + y) * width * channels;
      if (i % pairs >= rows)
        std::fill_n(out_data + row, width * channels, T(0));
      else
        run_pool_backward(grad_data + (image * rows + i % pairs) * columns * channels, data + row, y, height,
                          width, channels, columns, out_data + row);
      if (2 * columns >= width) continue;
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
  return x.scalar_type() == ScalarType::Float ? pool_backward<float>(grad, x)
                                              : pool_backward<double>(grad, x);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("max_pool", TORCH_BOX(&max_pool));
  m.impl("max_pool_backward", TORCH_BOX(&max_pool_backward));
}

}  // namespace fastphoto
