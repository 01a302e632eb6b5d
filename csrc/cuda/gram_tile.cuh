// Tiles of 64 x 64 products for a block of threads: features are staged in shared memory and multiplied, on
// tensor cores for bfloat16 and float32, on the ordinary units for double.
#pragma once

#include <mma.h>

#include "channels.cuh"

namespace fastphoto {

constexpr int kTile = 64;   // rows and columns of a product
constexpr int kDepth = 32;  // rows or columns of its factors that shared memory holds at a time; by eye
constexpr int kGramThreads = 256;

// ---- products

// The layout of a factor in shared memory: depth, which is summed over, by rows; or rows by depth.
enum class Order { kDepthFirst, kRowFirst };

// Each of the eight warps has 16 rows and twice 16 columns. float32 factors are split into two TF32 numbers
// each, and three of the four products are added, which leaves an error of the size of float32's own.
template <class T>
class Tile {
 public:
  using Sum = float;
  static constexpr bool kSplit = std::is_same<T, float>::value;
  static constexpr int kPad = 8;  // numbers between rows in shared memory, against bank conflicts
  static constexpr int kStep = kSplit ? 8 : 16;

  __device__ Tile() {
    nvcuda::wmma::fill_fragment(sum_[0], 0.0f);
    nvcuda::wmma::fill_fragment(sum_[1], 0.0f);
  }

  // sum[i][j] += sum over k of a(i, k) b(k, j), where b is depth first.
  template <Order kOrder>
  __device__ void multiply(const T* a, int a_stride, const T* b, int b_stride) {
    using namespace nvcuda::wmma;
    using Layout = typename std::conditional<kOrder == Order::kDepthFirst, col_major, row_major>::type;
    using Element = typename std::conditional<kSplit, precision::tf32, T>::type;
    fragment<matrix_a, 16, 16, kStep, Element, Layout> left, left_rest;
    fragment<matrix_b, 16, 16, kStep, Element, row_major> right, right_rest;
#pragma unroll
    for (int k = 0; k < kDepth; k += kStep) {
      const T* from = kOrder == Order::kDepthFirst ? a + k * a_stride + row() : a + row() * a_stride + k;
      load_matrix_sync(left, from, a_stride);
      split(left, left_rest);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        load_matrix_sync(right, b + k * b_stride + column() + 16 * j, b_stride);
        split(right, right_rest);
        if (kSplit) {  // small products first
          mma_sync(sum_[j], left_rest, right, sum_[j]);
          mma_sync(sum_[j], left, right_rest, sum_[j]);
        }
        mma_sync(sum_[j], left, right, sum_[j]);
      }
    }
  }

  __device__ void store(float* to, int stride) const {
#pragma unroll
    for (int j = 0; j < 2; ++j)
      nvcuda::wmma::store_matrix_sync(to + row() * stride + column() + 16 * j, sum_[j], stride,
                                      nvcuda::wmma::mem_row_major);
  }

  // The first of the 16 rows of the thread's warp.
  static __device__ int row() { return static_cast<int>(threadIdx.x) / 64 * 16; }

 private:
  static __device__ int column() { return static_cast<int>(threadIdx.x) / 32 % 2 * 32; }

  // whole = TF32 part + rest.
  template <class Fragment>
  static __device__ void split(Fragment& whole, Fragment& rest) {
    if constexpr (kSplit) {
#pragma unroll
      for (int i = 0; i < Fragment::num_elements; ++i) {
        const float value = whole.x[i];
        whole.x[i] = nvcuda::wmma::__float_to_tf32(value);
        rest.x[i] = nvcuda::wmma::__float_to_tf32(value - whole.x[i]);
      }
    }
  }

  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, kStep, float> sum_[2];
};

// For double: each thread has four rows and four columns.
template <>
class Tile<double> {
 public:
  using Sum = double;
  static constexpr int kPad = 2;

  __device__ Tile() {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sum_[i][j] = 0;
  }

  template <Order kOrder>
  __device__ void multiply(const double* a, int a_stride, const double* b, int b_stride) {
    for (int k = 0; k < kDepth; ++k) {
      double left[4], right[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        left[i] = kOrder == Order::kDepthFirst ? a[k * a_stride + own() + i] : a[(own() + i) * a_stride + k];
        right[i] = b[k * b_stride + column() + i];
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum_[i][j] += left[i] * right[j];
    }
  }

  __device__ void store(double* to, int stride) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) to[(own() + i) * stride + column() + j] = sum_[i][j];
  }

  static __device__ int row() { return static_cast<int>(threadIdx.x) / 64 * 16; }

 private:
  static __device__ int own() { return static_cast<int>(threadIdx.x) / 16 * 4; }
  static __device__ int column() { return static_cast<int>(threadIdx.x) % 16 * 4; }

  double sum_[4][4];
};

// ---- staging

// Features with neighbouring channels side by side in memory.
template <class T>
struct Pixels {
  const T* data;
  int64_t stride;  // from pixel to pixel
  int count, channels;
  bool whole;  // whether groups of channels are aligned, so that they can be read at once
};

template <class T>
constexpr int kLanes = 16 / sizeof(T);  // channels that are read at once

// to[0 ... lanes - 1] = scale * a pixel's channels from `channel` on; 0 beyond the last channel. A pixel with
// scale 0 is not read.
template <class T>
__device__ inline void stage(const Pixels<T>& f, int64_t pixel, int channel, typename Tile<T>::Sum scale,
                             T* to) {
  constexpr int lanes = kLanes<T>;
  using Lanes = Group<T, lanes>;
  Lanes values;
#pragma unroll
  for (int i = 0; i < lanes; ++i) set(values.lane[i], 0);
  if (scale != 0 && channel < f.channels) {
    const T* from = f.data + pixel * f.stride + channel;
    if (f.whole && channel + lanes <= f.channels) {
      values = *reinterpret_cast<const Lanes*>(from);
    } else {
#pragma unroll
      for (int i = 0; i < lanes; ++i)
        if (channel + i < f.channels) values.lane[i] = from[i];
    }
    if (scale != 1)
#pragma unroll
      for (int i = 0; i < lanes; ++i) set(values.lane[i], scale * number(values.lane[i]));
  }
  *reinterpret_cast<Lanes*>(to) = values;
}

}  // namespace fastphoto
