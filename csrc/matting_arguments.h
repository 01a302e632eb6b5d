// Argument checks of the matting Laplacian's operators, the same on every device.
#pragma once

#include "checks.h"
#include "matting_laplacian.h"

namespace fastphoto {

inline void check_image(const Checks& checks, const Tensor& image, double epsilon) {
  checks.picture("image", image, 3);
  checks.positive("epsilon", epsilon);
}

inline void check_laplacian(const Checks& checks, const Tensor& image, const Tensor& x, double epsilon) {
  checks.picture("image", image, 3);
  checks.shape("x", x, 3, "(H, W, K)");
  checks.same_picture_size("x", x, "image", image);
  checks.alike("x", x, "image", image);
  checks.positive("epsilon", epsilon);
}

inline void check_stencil(const Checks& checks, const Tensor& stencil, const Tensor& x) {
  checks.shape("stencil", stencil, 3, "(12, H, W)");
  checks.size("stencil", stencil, 0, kStencilPlanes, "(12, H, W)");
  checks.floating("stencil", stencil);
  checks.shape("x", x, 3, "(H, W, K)");
  checks.that(x.size(0) == stencil.size(1) && x.size(1) == stencil.size(2), "x is ", Checks::describe(x),
              ", expected (H, W, K) of the stencil, ", Checks::describe(stencil));
  checks.that(x.size(0) >= 3 && x.size(1) >= 3, "x is ", Checks::describe(x),
              ", expected H and W at least 3");
  checks.alike("x", x, "stencil", stencil);
}

}  // namespace fastphoto
