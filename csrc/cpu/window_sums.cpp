// Plain and bilateral sums over square windows on the CPU. Both are symmetric and so their own gradients.
//
// Plain sums slide, see sliding_sums.h: 4 bytes read and 4 written per value, whatever the radius. Bilateral
// sums take, for each pixel of a window, an exponential, 10 flops, and 2 flops for each plane.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fast_exp.h"
#include "layout.h"
#include "parallel.h"
#include "sliding_sums.h"
#include "vector.h"
#include "window_arguments.h"

namespace fastphoto {
namespace {

template <class T>
Tensor box_value(const Tensor& x, int64_t radius) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  const Tensor x_planes = to_planes(x), out = empty_planes(x, planes, height, width);
  T* out_data = out.mutable_data_ptr<T>();
  box_sums<T>(x_planes.const_data_ptr<T>(), planes, height, width, radius,
              [&](int64_t y, int64_t column, int64_t count, const double* sums, int64_t stride) {
                for (int64_t k = 0; k < planes; ++k) {
                  T* row = out_data + (k * height + y) * width + column;
                  for (int64_t j = 0; j < count; ++j) row[j] = static_cast<T>(sums[k * stride + j]);
                }
              });
  return from_planes(out);
}

Tensor box_sum(const Tensor& x, int64_t radius) {
  check_sum(Checks("box_sum"), x, radius);
  return x.scalar_type() == ScalarType::Float ? box_value<float>(x, radius) : box_value<double>(x, radius);
}

// ---- bilateral

constexpr int64_t kStrip = 256;  // columns at a time, whose sums should stay in the cache; by eye

template <class T>
struct Bilateral {
  const T* guide;  // (3, height, width)
  const T* x;      // (planes, height, width)
  T* out;
  int64_t planes, height, width, radius;
  double inverse_space;   // 1 / (2 sigma_space^2)
  double inverse_colour;  // 1 / (6 sigma_colour^2): the colour distance is a mean over three channels
};

// sums[k][i] += weights[i] * x[k][i], for kPlanes planes at once, so that a weight is loaded once.
template <class T, int kPlanes>
FASTPHOTO_INLINE void add_weighted(const T* weights, const T* x, int64_t plane, int64_t count, T* sums) {
  for (int64_t i = 0; i < count; ++i) {
    const T weight = weights[i];
#pragma GCC unroll 4
    for (int k = 0; k < kPlanes; ++k) sums[k * kStrip + i] += weight * x[k * plane + i];
  }
}

// The sums of pixels [begin, end) of row y. The outer loops run over the offsets in the window, the inner
// ones over the pixels of the strip, which fill vectors.
template <class T>
FASTPHOTO_INLINE void bilateral_strip(const Bilateral<T>& b, int64_t y, int64_t begin, int64_t end, T* sums) {
  const int64_t plane = b.height * b.width;
  const T scale = static_cast<T>(-b.inverse_colour);
  std::fill_n(sums, b.planes * kStrip, T(0));
  T weights[kStrip];
  for (int64_t dy = std::max(-b.radius, -y); dy <= std::min(b.radius, b.height - 1 - y); ++dy)
    for (int64_t dx = -b.radius; dx <= b.radius; ++dx) {
      const int64_t first = std::max(begin, -dx), last = std::min(end, b.width - dx);
      if (first >= last) continue;
      const int64_t count = last - first;
      const T space = static_cast<T>(std::exp(-static_cast<double>(dy * dy + dx * dx) * b.inverse_space));
      // The weights of the strip's pixels with their neighbours at this offset.
      const T* centre = b.guide + y * b.width + first;
      const T* other = centre + dy * b.width + dx;
      if (scale == 0) {
        std::fill_n(weights, count, space);
      } else {
        for (int64_t i = 0; i < count; ++i) {
          const T d0 = centre[i] - other[i], d1 = centre[plane + i] - other[plane + i],
                  d2 = centre[2 * plane + i] - other[2 * plane + i];
          weights[i] = space * fast_exp((d0 * d0 + d1 * d1 + d2 * d2) * scale);
        }
      }
      // Add the neighbours, four planes at once.
      const T* neighbours = b.x + (y + dy) * b.width + first + dx;
      T* sum = sums + first - begin;
      int64_t k = 0;
      for (; k + 4 <= b.planes; k += 4)
        add_weighted<T, 4>(weights, neighbours + k * plane, plane, count, sum + k * kStrip);
      for (; k < b.planes; ++k)
        add_weighted<T, 1>(weights, neighbours + k * plane, plane, count, sum + k * kStrip);
    }
  for (int64_t k = 0; k < b.planes; ++k)
    std::copy_n(sums + k * kStrip, end - begin, b.out + (k * b.height + y) * b.width + begin);
}

template <class T>
Tensor bilateral_value(const Tensor& guide, const Tensor& x, int64_t radius, double sigma_space,
                       double sigma_colour) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  const Tensor guide_planes = to_planes(guide), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width);
  const Bilateral<T> b{guide_planes.const_data_ptr<T>(),
                       x_planes.const_data_ptr<T>(),
                       out.mutable_data_ptr<T>(),
                       planes,
                       height,
                       width,
                       radius,
                       1.0 / (2 * sigma_space * sigma_space),
                       1.0 / (6 * sigma_colour * sigma_colour)};
  parallel_for(0, height, 4, [&](int64_t first, int64_t last) {
    std::vector<T> sums(planes * kStrip);
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t y = first; y < last; ++y)
        for (int64_t begin = 0; begin < width; begin += kStrip)
          bilateral_strip(b, y, begin, std::min(begin + kStrip, width), sums.data());
    });
  });
  return from_planes(out);
}

Tensor bilateral_sum(const Tensor& guide, const Tensor& x, int64_t radius, double sigma_space,
                     double sigma_colour) {
  const Checks checks("bilateral_sum");
  check_bilateral(checks, guide, x, radius, sigma_space, sigma_colour);
  return x.scalar_type() == ScalarType::Float
             ? bilateral_value<float>(guide, x, radius, sigma_space, sigma_colour)
             : bilateral_value<double>(guide, x, radius, sigma_space, sigma_colour);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("box_sum", TORCH_BOX(&box_sum));
  m.impl("bilateral_sum", TORCH_BOX(&bilateral_sum));
}

}  // namespace fastphoto
