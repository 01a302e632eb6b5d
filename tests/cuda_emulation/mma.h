// Tensor-core matrix fragments for the emulation: the interface of nvcuda::wmma, with its operands' rounding.
//
// Kernels may not rely on which elements of a matrix a lane holds. Here lane l holds every 32nd element, from
// element l on, in reading order.
#pragma once

#include "cuda_bf16.h"
#include "cuda_runtime.h"

namespace nvcuda {
namespace wmma {

struct row_major {};
struct col_major {};
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32 {};
}  // namespace precision

inline float __float_to_tf32(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits += 0x1000u;  // to nearest, ties away from zero
  bits &= 0xffffe000u;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <class Element>
struct Storage {
  using type = Element;
};
template <>
struct Storage<precision::tf32> {
  using type = float;
};

template <class Use, int M, int N, int K, class Element, class Layout = void>
class fragment {
 public:
  using element_type = Element;
  using storage_element_type = typename Storage<Element>::type;
  static constexpr int kRows = std::is_same<Use, matrix_b>::value ? K : M;
  static constexpr int kColumns = std::is_same<Use, matrix_a>::value ? K : N;
  static constexpr int num_elements = kRows * kColumns / warpSize;
  storage_element_type x[num_elements];
};

template <class F, class T>
void fill_fragment(F& f, const T& value) {
  for (int i = 0; i < F::num_elements; ++i) f.x[i] = value;
}

template <class F, class T>
void load(F& f, const T* from, unsigned stride, bool row_major_layout) {
  if (reinterpret_cast<uintptr_t>(from) % 32) emulation::fail("a matrix fragment is not aligned to 32 bytes");
  if (stride * sizeof(T) % 16) emulation::fail("a matrix fragment's stride is not a multiple of 16 bytes");
  for (int i = 0; i < F::num_elements; ++i) {
    const int n = i * warpSize + static_cast<int>(emulation::here().lane());
    const int row = n / F::kColumns, column = n % F::kColumns;
    f.x[i] = row_major_layout ? from[row * stride + column] : from[column * stride + row];
  }
  emulation::here().warp_barrier();
}

template <class Use, int M, int N, int K, class E, class L, class T>
void load_matrix_sync(fragment<Use, M, N, K, E, L>& f, const T* from, unsigned stride) {
  load(f, from, stride, std::is_same<L, row_major>::value);
}
template <int M, int N, int K, class E, class T>
void load_matrix_sync(fragment<accumulator, M, N, K, E>& f, const T* from, unsigned stride, layout_t layout) {
  load(f, from, stride, layout == mem_row_major);
}

template <class T, class F>
void store_matrix_sync(T* to, const F& f, unsigned stride, layout_t layout) {
  if (reinterpret_cast<uintptr_t>(to) % 32) emulation::fail("a matrix fragment is not aligned to 32 bytes");
  if (stride * sizeof(T) % 16) emulation::fail("a matrix fragment's stride is not a multiple of 16 bytes");
  for (int i = 0; i < F::num_elements; ++i) {
    const int n = i * warpSize + static_cast<int>(emulation::here().lane());
    const int row = n / F::kColumns, column = n % F::kColumns;
    to[layout == mem_row_major ? row * stride + column : column * stride + row] = f.x[i];
  }
  emulation::here().warp_barrier();
}

inline float operand(precision::tf32, float value) {
  uint32_t bits;  // the unit ignores the lower bits, of numbers that were not rounded before
  std::memcpy(&bits, &value, 4);
  bits &= 0xffffe000u;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline float operand(__nv_bfloat16, __nv_bfloat16 value) { return value; }
inline double operand(double, double value) { return value; }

template <int M, int N, int K, class E, class LA, class LB, class C>
void mma_sync(fragment<accumulator, M, N, K, C>& d, const fragment<matrix_a, M, N, K, E, LA>& a,
              const fragment<matrix_b, M, N, K, E, LB>& b, const fragment<accumulator, M, N, K, C>& c) {
  using A = fragment<matrix_a, M, N, K, E, LA>;
  using B = fragment<matrix_b, M, N, K, E, LB>;
  struct Pair {
    A a;
    B b;
  };
  const fragment<accumulator, M, N, K, C> before = c;
  const size_t lane = emulation::here().lane();
  emulation::here().exchange(Pair{a, b}, [&](auto of) {
    for (int i = 0; i < d.num_elements; ++i) {
      const int n = i * warpSize + static_cast<int>(lane), row = n / N, column = n % N;
      C sum = before.x[i];
      for (int k = 0; k < K; ++k) {
        const int at_a = row * K + k, at_b = k * N + column;
        sum += static_cast<C>(operand(E(), of(at_a % warpSize).a.x[at_a / warpSize])) *
               static_cast<C>(operand(E(), of(at_b % warpSize).b.x[at_b / warpSize]));
      }
      d.x[i] = sum;
    }
    return 0;
  });
}

}  // namespace wmma
}  // namespace nvcuda
