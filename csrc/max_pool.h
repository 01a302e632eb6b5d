// Arithmetic of 2 x 2 max-pooling after a ReLU, shared by host and device, and the operators' argument
// checks.
//
// y = max over the window of x. With x = max(0, z):
// dz = dy where x > 0 and x is the first of its window with x = y, else 0.
// The encoder keeps x anyway, and comparing again costs less than storing an index for every window.
#pragma once

#include <torch/headeronly/macros/Macros.h>

#include <array>
#include <cstdint>

#include "checks.h"
#include "layout.h"

namespace fastphoto {

// Offsets, in pixels, of a window's pixels from its first one. A pixel beyond the border is replaced by one
// inside that comes earlier in the window, and so never is the first maximum.
struct PoolWindow {
  int64_t right, below, diagonal;
};

C10_HOST_DEVICE inline PoolWindow pool_window(int64_t row, int64_t column, int64_t height, int64_t width) {
  const int64_t right = column + 1 < width, below = row + 1 < height ? width : 0;
  return {right, below, right + below};
}

// The larger number, or a NaN; by two choices without branches, which vectorise.
template <class T>
C10_HOST_DEVICE C10_ALWAYS_INLINE T pool_larger(T a, T b) {
  const T larger = b > a ? b : a;
  return b != b ? b : larger;
}

template <class T>
C10_HOST_DEVICE C10_ALWAYS_INLINE T pool_maximum(T a, T b, T c, T d) {
  // The comparisons let a NaN anywhere in the window through.
  const T upper = pool_larger(a, b), lower = pool_larger(c, d);
  return pool_larger(upper, lower);
}

// The number of the pixel, in reading order, that receives the gradient; 4 if none does.
template <class T>
C10_HOST_DEVICE inline int pool_receiver(T a, T b, T c, T d) {
  const T y = pool_maximum(a, b, c, d);
  if (!(y > T(0))) return 4;
  return a == y ? 0 : b == y ? 1 : c == y ? 2 : 3;
}

inline int64_t pooled_length(int64_t length, bool ceil) { return (length + (ceil ? 1 : 0)) / 2; }

// Activations are (B, C, H, W) in dense channels-last memory.
inline void check_activations(const Checks& checks, const char* name, const Tensor& x) {
  checks.shape(name, x, 4, "(B, C, H, W)");
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  checks.that((x.stride(1) == 1 || channels == 1) && (x.stride(3) == channels || width == 1) &&
                  (x.stride(2) == channels * width || height == 1) &&
                  (x.stride(0) == channels * width * height || x.size(0) == 1),
              name, " is not in dense channels-last memory");
}

inline void check_pool(const Checks& checks, const Tensor& x, bool ceil) {
  check_activations(checks, "x", x);
  checks.that(pooled_length(x.size(2), ceil) > 0 && pooled_length(x.size(3), ceil) > 0, "x is ",
              Checks::describe(x), ", expected H and W at least 2");
}

inline void check_pool_backward(const Checks& checks, const Tensor& grad, const Tensor& x) {
  check_activations(checks, "grad", grad);
  check_activations(checks, "x", x);
  for (int dim = 2; dim < 4; ++dim)
    checks.that(grad.size(dim) == x.size(dim) / 2 || grad.size(dim) == pooled_length(x.size(dim), true),
                "grad is ", Checks::describe(grad), ", expected the pooled size of x, ", Checks::describe(x));
  for (int dim = 0; dim < 2; ++dim)
    checks.that(grad.size(dim) == x.size(dim), "grad is ", Checks::describe(grad), ", expected ", x.size(dim),
                " in dimension ", dim);
  checks.alike("grad", grad, "x", x);
}

// An empty (B, C, height, width) tensor in dense channels-last memory, with B and C of `like`.
inline Tensor empty_activations(const Tensor& like, int64_t height, int64_t width) {
  const std::array<int64_t, 4> size{like.size(0), height, width, like.size(1)};
  const Tensor dense = torch::stable::new_empty(like, {size.data(), size.size()});
  return torch::stable::transpose(torch::stable::transpose(dense, 1, 3), 2, 3);
}

}  // namespace fastphoto
