// Argument checks of 3 x 3 convolutions, and the memory layout of their transformed weights.
#pragma once

#include "max_pool.h"

namespace fastphoto {

// Transformed weights are (points, panels, input channels, output channels of a panel).
inline void check_convolution(const Checks& checks, const Tensor& x, const Tensor& weights, int64_t points,
                              int64_t panel, int64_t out_channels, int64_t padding) {
  checks.floating("x", x);
  check_activations(checks, "x", x);
  checks.shape("weights", weights, 4, "the output of convolution_weights");
  checks.that(out_channels > 0, "out_channels is ", out_channels, ", expected 1 or more");
  checks.that(weights.size(0) == points && weights.size(1) == (out_channels + panel - 1) / panel &&
                  weights.size(2) == x.size(1) && weights.size(3) == panel,
              "weights is ", Checks::describe(weights), ", expected (", points, ", ",
              (out_channels + panel - 1) / panel, ", ", x.size(1), ", ", panel, ")");
  checks.alike("weights", weights, "x", x);
  checks.that(padding >= 0 && padding <= 2, "padding is ", padding, ", expected 0, 1 or 2 pixels");
  for (int dim = 2; dim < 4; ++dim)
    checks.that(x.size(dim) + 2 * padding > 2, "x is ", Checks::describe(x),
                ", too small for a 3 x 3 window with padding ", padding);
}

inline void check_bias(const Checks& checks, const Tensor& bias, const Tensor& x, int64_t out_channels) {
  checks.shape("bias", bias, 1, "(O,)");
  checks.size("bias", bias, 0, out_channels, "(O,)");
  checks.alike("bias", bias, "x", x);
}

}  // namespace fastphoto
