// Inner products of a few long vectors with a few others on CUDA: c_ij = sum over n of a_in b_jn.
//
// Per element of length, for A and B vectors of 4 bytes: 4 A bytes from memory, 4 B bytes for every kRows of
// A, from the cache after the first time, and 2 A B flops. Two passes in a fixed order, no atomics.
#include <torch/csrc/stable/library.h>

#include "block_sum.cuh"
#include "inner_products.h"

namespace fastphoto {
namespace {

constexpr int kThreads = 256;
constexpr int kRows = 4;  // of the matrix of products, for each block; by eye
constexpr int kColumns = 4;

// Block (piece, row group, column group) -> sums[piece][row][column] over kPieceLength elements.
template <class T>
__global__ void __launch_bounds__(kThreads)
    inner_products_kernel(const T* a, const T* b, int rows, int columns, int64_t length, double* sums) {
  const int row = blockIdx.y * kRows, column = blockIdx.z * kColumns;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kPieceLength;
  // Multiply: each thread takes every kThreads-th element.
  T sum[kRows][kColumns];
#pragma unroll
  for (int i = 0; i < kRows; ++i)
#pragma unroll
    for (int j = 0; j < kColumns; ++j) sum[i][j] = T(0);
  for (int64_t n = begin + threadIdx.x; n < min(begin + kPieceLength, length); n += kThreads) {
    T left[kRows], right[kColumns];
#pragma unroll
    for (int i = 0; i < kRows; ++i) left[i] = row + i < rows ? a[(row + i) * length + n] : T(0);
#pragma unroll
    for (int j = 0; j < kColumns; ++j) right[j] = column + j < columns ? b[(column + j) * length + n] : T(0);
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kColumns; ++j) sum[i][j] += left[i] * right[j];
  }
  // Add up the threads' sums.
#pragma unroll
  for (int i = 0; i < kRows; ++i)
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      if (row + i >= rows || column + j >= columns) continue;  // the same for the whole block
      const double total = block_sum<kThreads>(static_cast<double>(sum[i][j]));
      if (threadIdx.x == 0)
        sums[(static_cast<int64_t>(blockIdx.x) * rows + row + i) * columns + column + j] = total;
    }
}

// Block k -> out[k] = sum over the pieces of sums[piece][k].
__global__ void __launch_bounds__(kThreads)
    add_pieces_kernel(const double* sums, int64_t pieces, int entries, double* out) {
  double sum = 0;
  for (int64_t n = threadIdx.x; n < pieces; n += kThreads) sum += sums[n * entries + blockIdx.x];
  const double total = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = total;
}

template <class T>
Tensor inner_products_value(const Checks& checks, const Tensor& any_a, const Tensor& any_b) {
  const Launcher launch(any_a);
  const Tensor a = torch::stable::contiguous(any_a), b = torch::stable::contiguous(any_b);
  const int64_t rows = a.size(0), columns = b.size(0), length = a.size(1);
  checks.that(rows <= 65535 && columns <= 65535 && rows * columns <= std::numeric_limits<int32_t>::max(),
              "a is ", Checks::describe(a), " and b ", Checks::describe(b),
              ", expected at most 65535 vectors");
  const int64_t pieces = ceil_divide(length, kPieceLength);
  const Tensor sums = empty_doubles(a, pieces, rows * columns), out = empty_doubles(a, rows, columns);
  launch(inner_products_kernel<T>,
         dim3(pieces, ceil_divide<int64_t>(rows, kRows), ceil_divide<int64_t>(columns, kColumns)), kThreads,
         a.const_data_ptr<T>(), b.const_data_ptr<T>(), static_cast<int>(rows), static_cast<int>(columns),
         length, sums.mutable_data_ptr<double>());
  launch(add_pieces_kernel, rows * columns, kThreads, sums.const_data_ptr<double>(), pieces,
         static_cast<int>(rows * columns), out.mutable_data_ptr<double>());
  return out;
}

Tensor inner_products(const Tensor& a, const Tensor& b) {
  const Checks checks("inner_products");
  check_inner_products(checks, a, b);
  return a.scalar_type() == ScalarType::Float ? inner_products_value<float>(checks, a, b)
                                              : inner_products_value<double>(checks, a, b);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("inner_products", TORCH_BOX(&inner_products));
}

}  // namespace fastphoto
