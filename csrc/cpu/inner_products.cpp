// Inner products of a few long vectors with a few others on the CPU: c_ij = sum over n of a_in b_jn.
//
// Per element of length, for A and B vectors of 4 bytes: 4 (A + B) bytes from memory, then from the cache,
// and 2 A B flops. The sums of pieces are added in a fixed order.
#include "inner_products.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <vector>

#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int kLanes = 32;  // partial sums side by side, the same for every width of the vector unit; by eye

// The inner product of one piece of two vectors.
template <class T>
FASTPHOTO_INLINE double piece(const T* __restrict a, const T* __restrict b, int64_t count) {
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += a[i] * b[i];
  double total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
  return total;
}

template <class T>
Tensor inner_products_value(const Tensor& any_a, const Tensor& any_b) {
  const Tensor a = torch::stable::contiguous(any_a), b = torch::stable::contiguous(any_b);
  const int64_t rows = a.size(0), columns = b.size(0), length = a.size(1);
  const int64_t pieces = (length + kPieceLength - 1) / kPieceLength;
  const T *a_data = a.const_data_ptr<T>(), *b_data = b.const_data_ptr<T>();
  std::vector<double> sums(pieces * rows * columns);
  parallel_for(0, pieces, 4, [&](int64_t first, int64_t last) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t n = first; n < last; ++n) {
        const int64_t begin = n * kPieceLength, count = std::min(kPieceLength, length - begin);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j)
            sums[(n * rows + i) * columns + j] =
                piece(a_data + i * length + begin, b_data + j * length + begin, count);
      }
    });
  });
  // Add up the pieces, in their order.
  const Tensor out = empty_doubles(a, rows, columns);
  double* out_data = out.mutable_data_ptr<double>();
  for (int64_t k = 0; k < rows * columns; ++k) {
    double total = 0;
    for (int64_t n = 0; n < pieces; ++n) total += sums[n * rows * columns + k];
    out_data[k] = total;
  }
  return out;
}

Tensor inner_products(const Tensor& a, const Tensor& b) {
  check_inner_products(Checks("inner_products"), a, b);
  return a.scalar_type() == ScalarType::Float ? inner_products_value<float>(a, b)
                                              : inner_products_value<double>(a, b);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) { m.impl("inner_products", TORCH_BOX(&inner_products)); }

}  // namespace fastphoto
