// Argument checks of local affine colour maps and window sums, the same on every device.
#pragma once

#include "checks.h"

namespace fastphoto {

inline void check_fit(const Checks& checks, const Tensor& content, const Tensor& other,
                      const char* other_name, int64_t radius, double epsilon) {
  checks.picture("content", content, 1);
  checks.same_picture_size(other_name, other, "content", content);
  checks.alike(other_name, other, "content", content);
  checks.radius(radius);
  checks.positive("epsilon", epsilon);
}

inline void check_maps(const Checks& checks, const char* name, const Tensor& maps) {
  checks.shape(name, maps, 4, "(h, w, 3, 4)");
  checks.size(name, maps, 2, 3, "(h, w, 3, 4)");
  checks.size(name, maps, 3, 4, "(h, w, 3, 4)");
}

inline void check_affine_sum(const Checks& checks, const Tensor& content, const Tensor& factors,
                             const Tensor& x, int64_t radius) {
  checks.picture("content", content, 1);
  checks.picture("x", x, 1);
  checks.same_picture_size("x", x, "content", content);
  checks.alike("x", x, "content", content);
  checks.shape("factors", factors, 3, "(9, H, W)");
  checks.that(
      factors.size(0) == 9 && factors.size(1) == content.size(0) && factors.size(2) == content.size(1),
      "factors is ", Checks::describe(factors), ", expected (9, H, W) of content, ",
      Checks::describe(content));
  checks.type("factors", factors, ScalarType::Double);
  checks.same_device("factors", factors, "content", content);
  checks.radius(radius);
}

inline void check_sum(const Checks& checks, const Tensor& x, int64_t radius) {
  checks.shape("x", x, 3, "(H, W, K)");
  checks.floating("x", x);
  checks.radius(radius);
}

inline void check_bilateral(const Checks& checks, const Tensor& guide, const Tensor& x, int64_t radius,
                            double sigma_space, double sigma_colour) {
  checks.picture("guide", guide, 1);
  check_sum(checks, x, radius);
  checks.same_picture_size("x", x, "guide", guide);
  checks.alike("x", x, "guide", guide);
  checks.positive_or_infinite("sigma_space", sigma_space);
  checks.positive_or_infinite("sigma_colour", sigma_colour);
}

}  // namespace fastphoto
