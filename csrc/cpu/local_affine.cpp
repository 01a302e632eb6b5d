// Local affine colour maps on the CPU: fitted in sliding windows, the gradient of the fit, and applied.
//
// Per pixel of 4-byte numbers: the fit reads 24 bytes and writes 48; its sums slide, so that their cost does
// not grow with the window, and the solution takes about 150 flops in double.
#include "local_affine.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "layout.h"
#include "parallel.h"
#include "sliding_sums.h"
#include "vector.h"
#include "window_arguments.h"

namespace fastphoto {
namespace {

constexpr int kBlock = 64;  // windows in a block, whose numbers should stay in the cache; by eye

// Adds one image row to the column sums of the moments (sign = 1), or subtracts it (sign = -1).
template <class T, int kMoments>
FASTPHOTO_INLINE void add_row(const T* content, const T* result, int64_t plane, int64_t width, double sign,
                              ColumnSums<kMoments>& columns) {
  int m = 3;
  for (int a = 0; a < 3; ++a) {
    const T* ca = content + a * plane;
    double* first = columns.row(a);
    for (int64_t x = 0; x < width; ++x) first[x] += sign * static_cast<double>(ca[x]);
    for (int b = 0; b <= a; ++b) {
      const T* cb = content + b * plane;
      double* second = columns.row(m++);
      for (int64_t x = 0; x < width; ++x)
        second[x] += sign * static_cast<double>(ca[x]) * static_cast<double>(cb[x]);
    }
  }
  if (kMoments == kContentMoments) return;
  for (int b = 0; b < 3; ++b) {
    const T* rb = result + b * plane;
    double* first = columns.row(kContentMoments + b);
    for (int64_t x = 0; x < width; ++x) first[x] += sign * static_cast<double>(rb[x]);
    for (int a = 0; a < 3; ++a) {
      const T* ca = content + a * plane;
      double* cross = columns.row(12 + 3 * b + a);
      for (int64_t x = 0; x < width; ++x)
        cross[x] += sign * static_cast<double>(ca[x]) * static_cast<double>(rb[x]);
    }
  }
}

// A block of neighbouring windows, quantity by quantity, so that vector lanes are windows.
struct Block {
  double moments[kFitMoments][kBlock];
  double grad[12][kBlock];
  double inverse_count[kBlock];
  double out[12][kBlock];
};

FASTPHOTO_INLINE void fit_block(Block& block, int64_t count, double epsilon) {
  for (int64_t j = 0; j < count; ++j) {
    double moments[kFitMoments], map[12];
#pragma GCC unroll 21
    for (int m = 0; m < kFitMoments; ++m) moments[m] = block.moments[m][j];
    fit_window(moments, block.inverse_count[j], epsilon, map);
#pragma GCC unroll 12
    for (int m = 0; m < 12; ++m) block.out[m][j] = map[m];
  }
}

FASTPHOTO_INLINE void fit_gradient_block(Block& block, int64_t count, double epsilon) {
  for (int64_t j = 0; j < count; ++j) {
    double moments[kContentMoments], grad[12], out[12];
#pragma GCC unroll 9
    for (int m = 0; m < kContentMoments; ++m) moments[m] = block.moments[m][j];
#pragma GCC unroll 12
    for (int m = 0; m < 12; ++m) grad[m] = block.grad[m][j];
    fit_window_gradient(moments, block.inverse_count[j], epsilon, grad, out);
#pragma GCC unroll 12
    for (int m = 0; m < 12; ++m) block.out[m][j] = out[m];
  }
}

// Calls use(block, y, column, count) for all windows, block by block, with their moments and inverse counts.
template <int kMoments, class T, class F>
void over_windows(const T* content, const T* result, int64_t height, int64_t width, int64_t radius,
                  const F& use) {
  const int64_t plane = height * width;
  over_sliding_bands(height, radius, [&](int64_t begin, int64_t end) {
    ColumnSums<kMoments> columns(width, radius);
    const auto add = [&](int64_t y, double sign) {
      vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
        add_row(content + y * width, result + y * width, plane, width, sign, columns);
      });
    };
    // Sum the columns of the first window but for its last row, then slide them down row by row.
    for (int64_t y = std::max<int64_t>(0, begin - radius); y < std::min(height, begin + radius); ++y)
      add(y, 1);
    Block block;
    for (int64_t y = begin; y < end; ++y) {
      if (y + radius < height) add(y + radius, 1);
      const int64_t rows = window_length(y, radius, height);
      double window[kMoments];
      columns.start(window);
      for (int64_t column = 0; column < width; column += kBlock) {
        const int64_t count = std::min<int64_t>(kBlock, width - column);
        columns.slide(window, column, count, block.moments[0], kBlock);
        for (int64_t j = 0; j < count; ++j)
          block.inverse_count[j] = 1.0 / static_cast<double>(rows * window_length(column + j, radius, width));
        use(block, y, column, count);
      }
      if (y - radius >= 0) add(y - radius, -1);
    }
  });
}

// ---- fit

template <class T>
Tensor fit_value(const Tensor& content, const Tensor& result, int64_t radius, double epsilon) {
  const int64_t height = content.size(0), width = content.size(1);
  const Tensor content_planes = to_planes(content), result_planes = to_planes(result);
  const Tensor maps = torch::stable::new_empty(content, {height, width, 3, 4});
  T* out = maps.mutable_data_ptr<T>();
  over_windows<kFitMoments>(
      content_planes.const_data_ptr<T>(), result_planes.const_data_ptr<T>(), height, width, radius,
      [&](Block& block, int64_t y, int64_t column, int64_t count) {
        vectorised([&]() FASTPHOTO_INLINED_LAMBDA { fit_block(block, count, epsilon); });
        T* pixel = out + (y * width + column) * 12;
        for (int64_t j = 0; j < count; ++j)
          for (int m = 0; m < 12; ++m) pixel[j * 12 + m] = static_cast<T>(block.out[m][j]);
      });
  return maps;
}

Tensor local_affine_fit(const Tensor& content, const Tensor& result, int64_t radius, double epsilon) {
  const Checks checks("local_affine_fit");
  checks.picture("result", result, 1);
  check_fit(checks, content, result, "result", radius, epsilon);
  return content.scalar_type() == ScalarType::Float ? fit_value<float>(content, result, radius, epsilon)
                                                    : fit_value<double>(content, result, radius, epsilon);
}

// d r_k = c_k . sum of v_i + sum of u_i, over the windows i that contain k: the ones centred in k's window.
template <class T>
Tensor fit_gradient(const Tensor& any_grad, const Tensor& content, int64_t radius, double epsilon) {
  const int64_t height = content.size(0), width = content.size(1), plane = height * width;
  const Tensor content_planes = to_planes(content), grad = torch::stable::contiguous(any_grad);
  const T* content_data = content_planes.const_data_ptr<T>();
  const T* grad_data = grad.const_data_ptr<T>();
  // (v, u) of every window.
  std::vector<double> models(12 * plane);
  over_windows<kContentMoments>(
      content_data, content_data, height, width, radius,
      [&](Block& block, int64_t y, int64_t column, int64_t count) {
        const T* pixel = grad_data + (y * width + column) * 12;
        for (int64_t j = 0; j < count; ++j)
          for (int m = 0; m < 12; ++m) block.grad[m][j] = pixel[j * 12 + m];
        vectorised([&]() FASTPHOTO_INLINED_LAMBDA { fit_gradient_block(block, count, epsilon); });
        for (int m = 0; m < 12; ++m)
          std::copy_n(block.out[m], count, models.data() + m * plane + y * width + column);
      });
  // Their sums over windows, channel by channel of the result.
  const Tensor out = empty_planes(content, 3, height, width);
  T* out_data = out.mutable_data_ptr<T>();
  for (int b = 0; b < 3; ++b)
    box_sums<double>(models.data() + 4 * b * plane, 4, height, width, radius,
                     [&](int64_t y, int64_t column, int64_t count, const double* sums, int64_t stride) {
                       T* row = out_data + b * plane + y * width + column;
                       const T* c = content_data + y * width + column;
                       for (int64_t j = 0; j < count; ++j)
                         row[j] =
                             static_cast<T>(sums[j] * c[j] + sums[stride + j] * c[plane + j] +
                                            sums[2 * stride + j] * c[2 * plane + j] + sums[3 * stride + j]);
                     });
  return from_planes(out);
}

Tensor local_affine_fit_backward(const Tensor& grad, const Tensor& content, int64_t radius, double epsilon) {
  const Checks checks("local_affine_fit_backward");
  check_maps(checks, "grad", grad);
  check_fit(checks, content, grad, "grad", radius, epsilon);
  return content.scalar_type() == ScalarType::Float ? fit_gradient<float>(grad, content, radius, epsilon)
                                                    : fit_gradient<double>(grad, content, radius, epsilon);
}

// ---- apply

// One row of A c + b: the two rows of maps around it are blended first, then each pixel blends two of those.
template <class T>
FASTPHOTO_INLINE void apply_row(const T* upper, const T* lower, T fraction, int64_t map_width,
                                const Between* columns, const T* content, int64_t plane, int64_t width,
                                T* blended, T* out) {
  for (int64_t i = 0; i < 12 * map_width; ++i) blended[i] = upper[i] + fraction * (lower[i] - upper[i]);
  for (int64_t x = 0; x < width; ++x) {
    const T* left = blended + 12 * columns[x].low;
    const T* right = blended + 12 * columns[x].high;
    const T f = static_cast<T>(columns[x].fraction);
    T map[12];
    for (int m = 0; m < 12; ++m) map[m] = left[m] + f * (right[m] - left[m]);
    const T c0 = content[x], c1 = content[plane + x], c2 = content[2 * plane + x];
    for (int b = 0; b < 3; ++b)
      out[b * plane + x] = map[4 * b] * c0 + map[4 * b + 1] * c1 + map[4 * b + 2] * c2 + map[4 * b + 3];
  }
}

template <class T>
Tensor apply_value(const Tensor& any_maps, const Tensor& content) {
  const int64_t height = content.size(0), width = content.size(1), plane = height * width;
  const int64_t map_height = any_maps.size(0), map_width = any_maps.size(1);
  const Tensor maps = torch::stable::contiguous(any_maps), content_planes = to_planes(content);
  const Tensor out = empty_planes(content, 3, height, width);
  const T* map_data = maps.const_data_ptr<T>();
  const T* content_data = content_planes.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  std::vector<Between> columns(width);
  for (int64_t x = 0; x < width; ++x) columns[x] = between(x, width, map_width);
  parallel_for(0, height, 8, [&](int64_t begin, int64_t end) {
    std::vector<T> blended(12 * map_width);
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t y = begin; y < end; ++y) {
        const Between row = between(y, height, map_height);
        apply_row(map_data + row.low * map_width * 12, map_data + row.high * map_width * 12,
                  static_cast<T>(row.fraction), map_width, columns.data(), content_data + y * width, plane,
                  width, blended.data(), out_data + y * width);
      }
    });
  });
  return from_planes(out);
}

Tensor local_affine_apply(const Tensor& maps, const Tensor& content) {
  const Checks checks("local_affine_apply");
  check_maps(checks, "maps", maps);
  checks.picture("content", content, 1);
  checks.alike("maps", maps, "content", content);
  return content.scalar_type() == ScalarType::Float ? apply_value<float>(maps, content)
                                                    : apply_value<double>(maps, content);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("local_affine_fit", TORCH_BOX(&local_affine_fit));
  m.impl("local_affine_fit_backward", TORCH_BOX(&local_affine_fit_backward));
  m.impl("local_affine_apply", TORCH_BOX(&local_affine_apply));
}

}  // namespace fastphoto
