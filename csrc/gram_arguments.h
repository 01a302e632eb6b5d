// Boundary checks and memory formats of the masked Gram matrices' operators, the same on every device.
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

// (C, H, W) in the memory format of the features: channels-last where theirs is, planar otherwise.
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
  checks.that(indices.dim() == 1, "indices is ", Checks::describe(indices), ", wanted (P,)");
  checks.type("indices", indices, ScalarType::Int);
  checks.same_device("indices", indices, "features", features);
  checks.that(weights.dim() == 1 && weights.size(0) == indices.size(0), "weights is ",
              Checks::describe(weights), ", wanted ", Checks::describe(indices), ", one for each of indices");
  check_exact(checks, "weights", weights, features);
  checks.that(offsets.dim() == 1 && offsets.size(0) >= 2, "offsets is ", Checks::describe(offsets),
              ", wanted (R + 1,) with R at least 1");
  checks.type("offsets", offsets, ScalarType::Long);
  checks.that(offsets.is_cpu(), "offsets is on another device, wanted the CPU");
}

inline void check_gram_gradient(const Checks& checks, const Tensor& grad, const Tensor& features,
                                const Tensor& offsets) {
  checks.shape("grad", grad, 3, "(R, C, C)");
  checks.that(grad.size(0) == offsets.size(0) - 1 && grad.size(1) == features.size(0) &&
                  grad.size(2) == features.size(0),
              "grad is ", Checks::describe(grad), ", wanted (R, C, C) with R = ", offsets.size(0) - 1,
              " and C = ", features.size(0));
  check_exact(checks, "grad", grad, features);
}

inline void check_offsets(const Checks& checks, const int64_t* offsets, int64_t regions, int64_t entries) {
  checks.that(offsets[0] == 0 && offsets[regions] == entries, "offsets runs from ", offsets[0], " to ",
              offsets[regions], ", wanted 0 to ", entries, ", the length of indices");
  for (int64_t r = 0; r < regions; ++r)
    checks.that(offsets[r] <= offsets[r + 1], "offsets descends at region ", r, ", wanted ascending values");
}

}  // namespace fastphoto
