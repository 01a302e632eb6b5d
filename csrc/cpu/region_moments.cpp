// Means and variances of activations by region on the CPU, and their gradient:
//
//     mean_rc = sum over pixels p of s_rp f_cp / s_r, variance_rc = sum over p of s_rp f_cp^2 / s_r -
//     mean_rc^2 with s_r = sum over p of s_rp; df_cp = sum over r of s_rp / s_r (dmean_rc + 2 dvariance_rc
//     (f_cp - mean_rc)).
//
// Sums are in double, so that the difference of squares loses nothing that float32 activations have. Per
// pixel and channel of 4 bytes: 4 bytes are read and 3 flops taken for each region that the pixel belongs to;
// the gradient writes 4 bytes more. Pixels are summed in pieces of fixed length, and the pieces in their
// order.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "checks.h"
#include "layout.h"
#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int64_t kPiecePixels = 512;  // summed together; by eye

// (H, W, C) in contiguous memory; free for channels-last activations (C, H, W).
Tensor pixels_first(const Tensor& features) { return torch::stable::contiguous(from_planes(features)); }

template <class T>
FASTPHOTO_INLINE void add_pixel(const T* __restrict pixel, double share, int64_t channels,
                                double* __restrict sums, double* __restrict squares) {
  for (int64_t c = 0; c < channels; ++c) {
    const double value = pixel[c], weighted = share * value;
    sums[c] += weighted;
    squares[c] += weighted * value;
  }
}

template <class T>
FASTPHOTO_INLINE void add_gradient(const T* __restrict pixel, T share, int64_t channels,
                                   const T* __restrict constant, const T* __restrict slope,
                                   T* __restrict out) {
  for (int64_t c = 0; c < channels; ++c) out[c] += share * (constant[c] + slope[c] * pixel[c]);
}

// The sum of each region's shares.
template <class T>
std::vector<double> totals_of(const T* shares, int64_t regions, int64_t pixels) {
  std::vector<double> totals(regions);
  for (int64_t r = 0; r < regions; ++r) totals[r] = ordered_sum(shares + r * pixels, pixels);
  return totals;
}

template <class T>
std::tuple<Tensor, Tensor> moments_value(const Tensor& features, const Tensor& any_shares) {
  const Tensor x = pixels_first(features), shares = torch::stable::contiguous(any_shares);
  const int64_t channels = features.size(0), pixels = features.size(1) * features.size(2),
                regions = shares.size(0);
  const T *data = x.const_data_ptr<T>(), *share_data = shares.const_data_ptr<T>();
  const int64_t pieces = (pixels + kPiecePixels - 1) / kPiecePixels, count = 2 * regions * channels;
  std::vector<double> sums(pieces * count);
  parallel_for(0, pieces, 4, [&](int64_t first, int64_t last) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t piece = first; piece < last; ++piece)
        for (int64_t r = 0; r < regions; ++r) {
          double* out = sums.data() + piece * count + 2 * r * channels;
          for (int64_t p = piece * kPiecePixels; p < std::min(pixels, (piece + 1) * kPiecePixels); ++p)
            if (const T share = share_data[r * pixels + p]; share != 0)
              add_pixel(data + p * channels, static_cast<double>(share), channels, out, out + channels);
        }
    });
  });
  for (int64_t piece = 1; piece < pieces; ++piece)
    for (int64_t i = 0; i < count; ++i) sums[i] += sums[piece * count + i];
  const std::vector<double> totals = totals_of(share_data, regions, pixels);
  const Tensor mean = torch::stable::new_empty(x, {regions, channels});
  const Tensor variance = torch::stable::new_empty(x, {regions, channels});
  T *means = mean.mutable_data_ptr<T>(), *variances = variance.mutable_data_ptr<T>();
  for (int64_t r = 0; r < regions; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const double total = totals[r], middle = total > 0 ? sums[2 * r * channels + c] / total : 0.0;
      const double square = total > 0 ? sums[(2 * r + 1) * channels + c] / total : 0.0;
      means[r * channels + c] = static_cast<T>(middle);
      variances[r * channels + c] = static_cast<T>(square - middle * middle);
    }
  return {mean, variance};
}

template <class T>
Tensor moments_gradient(const Tensor& any_grad_mean, const Tensor& any_grad_variance, const Tensor& features,
                        const Tensor& any_shares, const Tensor& any_mean) {
  const Tensor x = pixels_first(features), shares = torch::stable::contiguous(any_shares);
  const Tensor grad_mean = torch::stable::contiguous(any_grad_mean),
               mean = torch::stable::contiguous(any_mean);
  const Tensor grad_variance = torch::stable::contiguous(any_grad_variance);
  const int64_t channels = features.size(0), pixels = features.size(1) * features.size(2),
                regions = shares.size(0);
  const Tensor out = torch::stable::new_empty(x, {features.size(1), features.size(2), channels});
  const T *data = x.const_data_ptr<T>(), *share_data = shares.const_data_ptr<T>();
  const T *by_mean = grad_mean.const_data_ptr<T>(), *by_variance = grad_variance.const_data_ptr<T>(),
          *means = mean.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  const std::vector<double> totals = totals_of(share_data, regions, pixels);
  std::vector<T> constants(regions * channels), slopes(regions * channels);
  for (int64_t r = 0; r < regions; ++r)
    for (int64_t i = r * channels; i < (r + 1) * channels; ++i) {
      const double over = totals[r] > 0 ? 1 / totals[r] : 0.0,
                   slope = 2 * static_cast<double>(by_variance[i]);
      slopes[i] = static_cast<T>(slope * over);
      constants[i] = static_cast<T>((by_mean[i] - slope * means[i]) * over);
    }
  parallel_for(0, pixels, 4 * kPiecePixels, [&](int64_t first, int64_t last) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t p = first; p < last; ++p) {
        std::fill_n(out_data + p * channels, channels, T(0));
        for (int64_t r = 0; r < regions; ++r)
          if (const T share = share_data[r * pixels + p]; share != 0)
            add_gradient(data + p * channels, share, channels, constants.data() + r * channels,
                         slopes.data() + r * channels, out_data + p * channels);
      }
    });
  });
  return planes_view(out);
}

void check_moments(const Checks& checks, const Tensor& features, const Tensor& shares) {
  checks.shape("features", features, 3, "(C, H, W)");
  checks.floating("features", features);
  checks.shape("shares", shares, 3, "(R, H, W)");
  checks.size("shares", shares, 1, features.size(1), "(R, H, W)");
  checks.size("shares", shares, 2, features.size(2), "(R, H, W)");
  checks.alike("shares", shares, "features", features);
}

std::tuple<Tensor, Tensor> region_moments(const Tensor& features, const Tensor& shares) {
  check_moments(Checks("region_moments"), features, shares);
  return features.scalar_type() == ScalarType::Float ? moments_value<float>(features, shares)
                                                     : moments_value<double>(features, shares);
}

Tensor region_moments_backward(const Tensor& grad_mean, const Tensor& grad_variance, const Tensor& features,
                               const Tensor& shares, const Tensor& mean) {
  const Checks checks("region_moments_backward");
  check_moments(checks, features, shares);
  const std::array<std::pair<const char*, const Tensor*>, 3> others{
      {{"grad_mean", &grad_mean}, {"grad_variance", &grad_variance}, {"mean", &mean}}};
  for (const auto& [name, tensor] : others) {
    checks.shape(name, *tensor, 2, "(R, C)");
    checks.size(name, *tensor, 0, shares.size(0), "(R, C)");
    checks.size(name, *tensor, 1, features.size(0), "(R, C)");
    checks.alike(name, *tensor, "features", features);
  }
  return features.scalar_type() == ScalarType::Float
             ? moments_gradient<float>(grad_mean, grad_variance, features, shares, mean)
             : moments_gradient<double>(grad_mean, grad_variance, features, shares, mean);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("region_moments", TORCH_BOX(&region_moments));
  m.impl("region_moments_backward", TORCH_BOX(&region_moments_backward));
}

}  // namespace fastphoto
