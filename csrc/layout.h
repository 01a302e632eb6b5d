// Memory layout of pictures: callers pass and get (H, W, K), kernels work on K contiguous planes.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <cstdint>

namespace fastphoto {

using torch::stable::Tensor;

// The (K, H, W) view of (H, W, K).
inline Tensor planes_view(const Tensor& x) {
  return torch::stable::transpose(torch::stable::transpose(x, 0, 2), 1, 2);
}

// (H, W, K) -> contiguous (K, H, W); free when x is a permuted view of contiguous planes.
inline Tensor to_planes(const Tensor& x) { return torch::stable::contiguous(planes_view(x)); }

// The (H, W, K) view of (K, H, W) planes.
inline Tensor from_planes(const Tensor& planes) {
  return torch::stable::transpose(torch::stable::transpose(planes, 1, 2), 0, 2);
}

inline Tensor empty_planes(const Tensor& like, int64_t planes, int64_t height, int64_t width) {
  const std::array<int64_t, 3> size{planes, height, width};
  return torch::stable::new_empty(like, {size.data(), size.size()});
}

inline Tensor scalar_like(const Tensor& like) {
  return torch::stable::new_empty(like, torch::headeronly::IntHeaderOnlyArrayRef(nullptr, size_t{0}));
}

}  // namespace fastphoto
