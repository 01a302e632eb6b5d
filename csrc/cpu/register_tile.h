// The innermost tile of a matrix product, held in vector registers.
#pragma once

#include <cstdint>
#include <cstring>

#include "vector.h"

namespace fastphoto {

template <class T, int kBytes>
struct Lanes {
  typedef T type __attribute__((vector_size(kBytes)));
};

// kRows x kPanel sums, where kPanel = kVectors vectors of kBytes, inlined into the kernel that uses them.
template <class T, int kBytes, int kRows, int kVectors = 2>
struct Tile {
  using Vector = typename Lanes<T, kBytes>::type;
  static constexpr int kLanes = kBytes / sizeof(T);
  static constexpr int kPanel = kVectors * kLanes;

  Vector sum[kRows][kVectors];

  FASTPHOTO_INLINE void clear() {
#pragma GCC unroll 16
    for (int m = 0; m < kRows; ++m)
#pragma GCC unroll 16
      for (int n = 0; n < kVectors; ++n) sum[m][n] = Vector{};
  }

  // sum[m, :] += sum over k of a[m * a_row + k * a_step] b[k * kPanel + :]
  FASTPHOTO_INLINE void multiply(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      Vector row[kVectors];
#pragma GCC unroll 16
      for (int n = 0; n < kVectors; ++n) std::memcpy(&row[n], b + k * kPanel + n * kLanes, sizeof(Vector));
#pragma GCC unroll 16
      for (int m = 0; m < kRows; ++m) {
        const T factor = a[m * a_row + k * a_step];
#pragma GCC unroll 16
        for (int n = 0; n < kVectors; ++n) sum[m][n] += factor * row[n];
      }
    }
  }

  // rows[m * stride + :] = sum[m, :], or += if `add`
  FASTPHOTO_INLINE void store(T* rows, int64_t stride, bool add) const {
#pragma GCC unroll 16
    for (int m = 0; m < kRows; ++m)
#pragma GCC unroll 16
      for (int n = 0; n < kVectors; ++n) {
        Vector value{};
        if (add) std::memcpy(&value, rows + m * stride + n * kLanes, sizeof(Vector));
        value += sum[m][n];
        std::memcpy(rows + m * stride + n * kLanes, &value, sizeof(Vector));
      }
  }
};

}  // namespace fastphoto
