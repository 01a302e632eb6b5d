// Sums of local affine fits on the CPU: y_i = sum over the windows k that hold i of A_k c_i + b_k, where
// (A_k, b_k) is the map of window k that takes the content c to x, see local_affine.h.
//
// What the fit needs of the content is factored once: 9 doubles for each window. Per pixel of 4-byte numbers,
// a sum then reads 24 bytes of pictures and 72 of factors, writes and reads 48 of maps, and writes 12. Its 24
// sliding sums take some 100 flops in double, whatever the radius, the maps 80, and applying them 18.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <vector>

#include "layout.h"
#include "local_affine.h"
#include "parallel.h"
#include "sliding_sums.h"
#include "vector.h"
#include "window_arguments.h"

namespace fastphoto {
namespace {

constexpr int kFactors = 9;   // mean (3), r10, r20, r21 and the inverses of d0, d1, d2
constexpr int kMoments = 12;  // of x: for each channel its sum, and its sums with the content's three
constexpr int kMaps = 12;
constexpr int kBlock = 64;  // windows in a block, whose numbers should stay in the cache; by eye

// Adds one row of the content's moments to the column sums (sign = 1), or subtracts it (sign = -1).
template <class T>
FASTPHOTO_INLINE void add_content(const T* content, int64_t plane, int64_t width, double sign,
                                  ColumnSums<kContentMoments>& columns) {
  int m = 3;
  for (int a = 0; a < 3; ++a) {
    const T* ca = content + a * plane;
    double* first = columns.row(a);
    for (int64_t i = 0; i < width; ++i) first[i] += sign * static_cast<double>(ca[i]);
    for (int b = 0; b <= a; ++b) {
      const T* cb = content + b * plane;
      double* second = columns.row(m++);
      for (int64_t i = 0; i < width; ++i)
        second[i] += sign * static_cast<double>(ca[i]) * static_cast<double>(cb[i]);
    }
  }
}

// The same for the moments of x.
template <class T>
FASTPHOTO_INLINE void add_moments(const T* content, const T* x, int64_t plane, int64_t width, double sign,
                                  ColumnSums<kMoments>& columns) {
  const T *c0 = content, *c1 = content + plane, *c2 = content + 2 * plane;
  for (int b = 0; b < 3; ++b) {
    const T* xb = x + b * plane;
    double *sum = columns.row(4 * b), *cross0 = columns.row(4 * b + 1), *cross1 = columns.row(4 * b + 2),
           *cross2 = columns.row(4 * b + 3);
    for (int64_t i = 0; i < width; ++i) {
      const double value = sign * static_cast<double>(xb[i]);
      sum[i] += value;
      cross0[i] += value * static_cast<double>(c0[i]);
      cross1[i] += value * static_cast<double>(c1[i]);
      cross2[i] += value * static_cast<double>(c2[i]);
    }
  }
}

// The same for the maps of windows.
template <class T>
FASTPHOTO_INLINE void add_maps(const T* maps, int64_t plane, int64_t width, double sign,
                               ColumnSums<kMaps>& columns) {
  for (int m = 0; m < kMaps; ++m) {
    const T* map = maps + m * plane;
    double* sum = columns.row(m);
    for (int64_t i = 0; i < width; ++i) sum[i] += sign * static_cast<double>(map[i]);
  }
}

// Calls add(row, sign, columns) so that the columns hold the rows of a window, and use(y, column, count,
// sums) with the sums over the windows of `count` pixels, sums[m * kBlock + j].
template <int kQuantities, class Add, class Use>
void over_windows(int64_t height, int64_t width, int64_t radius, const Add& add, const Use& use) {
  over_sliding_bands(height, radius, [&](int64_t begin, int64_t end) {
    ColumnSums<kQuantities> columns(width, radius);
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t y = std::max<int64_t>(0, begin - radius); y < std::min(height, begin + radius); ++y)
        add(y, 1.0, columns);
      double sums[kQuantities * kBlock];
      for (int64_t y = begin; y < end; ++y) {
        if (y + radius < height) add(y + radius, 1.0, columns);
        double window[kQuantities];
        columns.start(window);
        for (int64_t column = 0; column < width; column += kBlock) {
          const int64_t count = std::min<int64_t>(kBlock, width - column);
          columns.slide(window, column, count, sums, kBlock);
          use(y, column, count, sums);
        }
        if (y - radius >= 0) add(y - radius, -1.0, columns);
      }
    });
  });
}

// Reciprocals of the numbers of pixels of windows.
void inverse_counts(int64_t y, int64_t column, int64_t count, int64_t height, int64_t width, int64_t radius,
                    double* out) {
  const int64_t rows = window_length(y, radius, height);
  for (int64_t j = 0; j < count; ++j)
    out[j] = 1.0 / static_cast<double>(rows * window_length(column + j, radius, width));
}

// ---- factors

FASTPHOTO_INLINE void factor_block(const double* sums, const double* inverse_count, int64_t count,
                                   double epsilon, int64_t plane, double* out) {
  for (int64_t j = 0; j < count; ++j) {
    double moments[kContentMoments];
#pragma GCC unroll 9
    for (int m = 0; m < kContentMoments; ++m) moments[m] = sums[m * kBlock + j];
    const AffineFactor f = factor_affine(moments, inverse_count[j], epsilon);
    out[j] = f.mean[0];
    out[plane + j] = f.mean[1];
    out[2 * plane + j] = f.mean[2];
    out[3 * plane + j] = f.r10;
    out[4 * plane + j] = f.r20;
    out[5 * plane + j] = f.r21;
    out[6 * plane + j] = f.inverse_d0;
    out[7 * plane + j] = f.inverse_d1;
    out[8 * plane + j] = f.inverse_d2;
  }
}

template <class T>
Tensor factors_value(const Tensor& any_content, int64_t radius, double epsilon) {
  const int64_t height = any_content.size(0), width = any_content.size(1), plane = height * width;
  const Tensor content = to_planes(any_content);
  const Tensor factors = torch::stable::new_empty(content, {kFactors, height, width}, ScalarType::Double);
  const T* data = content.const_data_ptr<T>();
  double* out = factors.mutable_data_ptr<double>();
  over_windows<kContentMoments>(
      height, width, radius,
      [&](int64_t y, double sign, ColumnSums<kContentMoments>& columns)
          FASTPHOTO_INLINED_LAMBDA { add_content(data + y * width, plane, width, sign, columns); },
      [&](int64_t y, int64_t column, int64_t count, const double* sums) FASTPHOTO_INLINED_LAMBDA {
        double inverse_count[kBlock];
        inverse_counts(y, column, count, height, width, radius, inverse_count);
        factor_block(sums, inverse_count, count, epsilon, plane, out + y * width + column);
      });
  return factors;
}

Tensor local_affine_factors(const Tensor& content, int64_t radius, double epsilon) {
  const Checks checks("local_affine_factors");
  checks.picture("content", content, 1);
  checks.radius(radius);
  checks.positive("epsilon", epsilon);
  return content.scalar_type() == ScalarType::Float ? factors_value<float>(content, radius, epsilon)
                                                    : factors_value<double>(content, radius, epsilon);
}

// ---- sum

// The rows (A, b) of one channel, found[m * kBlock + j], from the channel's four sums.
FASTPHOTO_INLINE void channel_block(const double* __restrict sums, const double* __restrict inverse_count,
                                    int64_t count, const double* __restrict factors, int64_t plane,
                                    double* __restrict found) {
  for (int64_t j = 0; j < count; ++j) {
    AffineFactor f;
    f.mean[0] = factors[j];
    f.mean[1] = factors[plane + j];
    f.mean[2] = factors[2 * plane + j];
    f.r10 = factors[3 * plane + j];
    f.r20 = factors[4 * plane + j];
    f.r21 = factors[5 * plane + j];
    f.inverse_d0 = factors[6 * plane + j];
    f.inverse_d1 = factors[7 * plane + j];
    f.inverse_d2 = factors[8 * plane + j];
    double row[4];
    fit_channel(f, sums[j], sums[kBlock + j], sums[2 * kBlock + j], sums[3 * kBlock + j], inverse_count[j],
                row);
    found[j] = row[0];
    found[kBlock + j] = row[1];
    found[2 * kBlock + j] = row[2];
    found[3 * kBlock + j] = row[3];
  }
}

template <class T>
FASTPHOTO_INLINE void map_block(const double* sums, const double* inverse_count, int64_t count,
                                const double* factors, int64_t plane, T* out) {
  double found[4 * kBlock];
  for (int b = 0; b < 3; ++b) {
    channel_block(sums + 4 * b * kBlock, inverse_count, count, factors, plane, found);
    for (int m = 0; m < 4; ++m) {
      T* map = out + (4 * b + m) * plane;
      for (int64_t j = 0; j < count; ++j) map[j] = static_cast<T>(found[m * kBlock + j]);
    }
  }
}

template <class T>
FASTPHOTO_INLINE void apply_block(const double* sums, int64_t count, const T* content, int64_t plane,
                                  T* out) {
  for (int b = 0; b < 3; ++b) {
    const double* map = sums + 4 * b * kBlock;
    T* channel = out + b * plane;
    for (int64_t j = 0; j < count; ++j)
      channel[j] = static_cast<T>(map[j] * content[j] + map[kBlock + j] * content[plane + j] +
                                  map[2 * kBlock + j] * content[2 * plane + j] + map[3 * kBlock + j]);
  }
}

template <class T>
Tensor sum_value(const Tensor& any_content, const Tensor& any_factors, const Tensor& any_x, int64_t radius) {
  const int64_t height = any_x.size(0), width = any_x.size(1), plane = height * width;
  const Tensor content = to_planes(any_content), x = to_planes(any_x);
  const Tensor factors = torch::stable::contiguous(any_factors);
  const Tensor out = empty_planes(x, 3, height, width);
  const T *content_data = content.const_data_ptr<T>(), *x_data = x.const_data_ptr<T>();
  const double* factor_data = factors.const_data_ptr<double>();
  T* out_data = out.mutable_data_ptr<T>();
  std::vector<T> maps(kMaps * plane);
  T* map_data = maps.data();
  over_windows<kMoments>(
      height, width, radius,
      [&](int64_t y, double sign, ColumnSums<kMoments>& columns) FASTPHOTO_INLINED_LAMBDA {
        add_moments(content_data + y * width, x_data + y * width, plane, width, sign, columns);
      },
      [&](int64_t y, int64_t column, int64_t count, const double* sums) FASTPHOTO_INLINED_LAMBDA {
        double inverse_count[kBlock];
        inverse_counts(y, column, count, height, width, radius, inverse_count);
        const int64_t at = y * width + column;
        map_block(sums, inverse_count, count, factor_data + at, plane, map_data + at);
      });
  over_windows<kMaps>(
      height, width, radius,
      [&](int64_t y, double sign, ColumnSums<kMaps>& columns)
          FASTPHOTO_INLINED_LAMBDA { add_maps(map_data + y * width, plane, width, sign, columns); },
      [&](int64_t y, int64_t column, int64_t count, const double* sums) FASTPHOTO_INLINED_LAMBDA {
        const int64_t at = y * width + column;
        apply_block(sums, count, content_data + at, plane, out_data + at);
      });
  return from_planes(out);
}

Tensor local_affine_sum(const Tensor& content, const Tensor& factors, const Tensor& x, int64_t radius) {
  check_affine_sum(Checks("local_affine_sum"), content, factors, x, radius);
  return x.scalar_type() == ScalarType::Float ? sum_value<float>(content, factors, x, radius)
                                              : sum_value<double>(content, factors, x, radius);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("local_affine_factors", TORCH_BOX(&local_affine_factors));
  m.impl("local_affine_sum", TORCH_BOX(&local_affine_sum));
}

}  // namespace fastphoto
