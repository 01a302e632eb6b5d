// How the inner products of long vectors are split into pieces, the same on host and device, and the
// operator's argument checks.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <array>
#include <cstdint>

#include "checks.h"

namespace fastphoto {

// Vectors are summed piece by piece, and the sums of the pieces are added in order. The length is by eye:
// short enough for float32 sums to lose little.
constexpr int64_t kPieceLength = 4096;

inline void check_inner_products(const Checks& checks, const Tensor& a, const Tensor& b) {
  checks.shape("a", a, 2, "(A, N)");
  checks.shape("b", b, 2, "(B, N)");
  checks.floating("a", a);
  checks.size("b", b, 1, a.size(1), "(B, N)");
  checks.alike("b", b, "a", a);
}

inline Tensor empty_doubles(const Tensor& like, int64_t rows, int64_t columns) {
  const std::array<int64_t, 2> size{rows, columns};
  return torch::stable::new_empty(like, {size.data(), size.size()}, ScalarType::Double);
}

}  // namespace fastphoto
