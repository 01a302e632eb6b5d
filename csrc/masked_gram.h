// The masked Gram matrices' equation, argument checks and memory formats, the same on every device.
//
// G_r = sum over p of m_rp^2 f_p f_p^T, dF_p = sum over r of m_rp^2 (dG_r + dG_r^T) f_p.
//
// Masks come as lists of the pixels with m > 0, so that the cost follows the area of the regions and not
// their number. Region r owns the entries offsets[r] ... offsets[r + 1] - 1 of `indices`, which holds pixel
// numbers y * W + x in ascending order, and of `weights`, which holds their values of m.
#pragma once

#include "checks.h"
#include "layout.h"

namespace fastphoto {

inline bool is_channels_last(const Tensor& features) {
  return features.size(0) > 1 && features.stride(0) == 1 &&
         features.stride(1) == features.size(2) * features.stride(2);
}

inline bool is_planar(const Tensor& features) {
  return features.stride(2) == 1 && features.stride(1) == features.size(2);
}

// An empty (C, H, W) in the memory format of the features: channels-last or else planar.
inline Tensor empty_like_features(const Tensor& features) {
  const int64_t channels = features.size(0), height = features.size(1), width = features.size(2);
  return is_channels_last(features) ? planes_view(empty_planes(features, height, width, channels))
                                    : empty_planes(features, channels, height, width);
}

// Weights and Gram matrices of bfloat16 features are float32.
inline void check_exact(const Checks& checks, const char* name, const Tensor& tensor,
                        const Tensor& features) {
  if (features.scalar_type() != ScalarType::BFloat16) return checks.alike(name, tensor, "features", features);
  checks.type(name, tensor, ScalarType::Float);
  checks.same_device(name, tensor, "features", features);
}

inline void check_gram(const Checks& checks, const Tensor& features, const Tensor& indices,
                       const Tensor& weights, const Tensor& offsets) {
  checks.shape("features", features, 3, "(C, H, W)");
  checks.that(indices.dim() == 1, "indices is ", Checks::describe(indices), ", expected (P,)");
  checks.type("indices", indices, ScalarType::Int);
  checks.same_device("indices", indices, "features", features);
  checks.that(weights.dim() == 1 && weights.size(0) == indices.size(0), "weights is ",
              Checks::describe(weights), ", expected ", Checks::describe(indices),
              ", one for each of indices");
  check_exact(checks, "weights", weights, features);
  checks.that(offsets.dim() == 1 && offsets.size(0) >= 2, "offsets is ", Checks::describe(offsets),
              ", expected (R + 1,) with R at least 1");
  checks.type("offsets", offsets, ScalarType::Long);
  checks.that(offsets.is_cpu(), "offsets is on another device, expected the CPU");
}

inline void check_gram_gradient(const Checks& checks, const Tensor& grad, const Tensor& features,
                                const Tensor& offsets) {
  checks.shape("grad", grad, 3, "(R, C, C)");
  checks.that(grad.size(0) == offsets.size(0) - 1 && grad.size(1) == features.size(0) &&
                  grad.size(2) == features.size(0),
              "grad is ", Checks::describe(grad), ", expected (R, C, C) with R = ", offsets.size(0) - 1,
              " and C = ", features.size(0));
  check_exact(checks, "grad", grad, features);
}

inline void check_offsets(const Checks& checks, const int64_t* offsets, int64_t regions, int64_t entries) {
  checks.that(offsets[0] == 0 && offsets[regions] == entries, "offsets runs from ", offsets[0], " to ",
              offsets[regions], ", expected 0 to ", entries, ", the length of indices");
  for (int64_t r = 0; r < regions; ++r)
    checks.that(offsets[r] <= offsets[r + 1], "offsets descends at region ", r,
                ", expected ascending values");
}

}  // namespace fastphoto
