// The innermost tile of a matrix product, held in vector registers.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vector.h"

namespace fastphoto {

template <class T, int kBytes>
struct Lanes {
  typedef T type __attribute__((vector_size(kBytes)));
};

// sum += factor * row, rounded once where vectors have an instruction for it, which all but the baseline of
// x86 have. The instruction is named, because the compiler may not choose it, see vector.h.
template <class T, class Vector>
FASTPHOTO_INLINE void multiply_add(const T& factor, const Vector& row, Vector& sum) {
  constexpr bool kFloat = std::is_same_v<T, float>;
  Vector result = sum;  // a copy, because the address of the sum would keep it out of the registers
#if defined(FASTPHOTO_X86_VECTORS)
  if constexpr (sizeof(Vector) == 16)
    result += factor * row;
  else if constexpr (sizeof(Vector) == 64 && kFloat)
    asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(result) : "v"(row), "m"(factor));
  else if constexpr (sizeof(Vector) == 64)
    asm("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(result) : "v"(row), "m"(factor));
  else if constexpr (kFloat)
    asm("vfmadd231ps %2, %1, %0" : "+v"(result) : "v"(row), "v"(factor - Vector{}));
  else
    asm("vfmadd231pd %2, %1, %0" : "+v"(result) : "v"(row), "v"(factor - Vector{}));
#elif defined(__aarch64__)
  if constexpr (kFloat)
    asm("fmla %0.4s, %1.4s, %2.4s" : "+w"(result) : "w"(row), "w"(factor - Vector{}));
  else
    asm("fmla %0.2d, %1.2d, %2.2d" : "+w"(result) : "w"(row), "w"(factor - Vector{}));
#else
  result += factor * row;
#endif
  sum = result;
}

// kRows x kPanel sums, where kPanel = kVectors vectors of kBytes, inlined into the kernel that uses them.
template <class T, int kBytes, int kRowCount, int kVectors = 2>
struct Tile {
  using Vector = typename Lanes<T, kBytes>::type;
  static constexpr int kRows = kRowCount;
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
        const T& factor = a[m * a_row + k * a_step];
#pragma GCC unroll 16
        for (int n = 0; n < kVectors; ++n) multiply_add(factor, row[n], sum[m][n]);
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
