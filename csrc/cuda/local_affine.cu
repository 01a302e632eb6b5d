// Local affine colour maps on CUDA: fitted in windows, the gradient of the fit, and applied.
//
// There is a thread for each pixel. With the small windows of the optimisation it sums its window itself,
// from the caches. Bytes per pixel: 24 read and 48 written for the fit; 60 + 96 + 96 + 12 for its gradient.
// Flops, in double: about 27 for each pixel of the window, and 150 for the solution.
#include <torch/csrc/stable/library.h>

#include "local_affine.h"
#include "window_arguments.h"
#include "window_sums.cuh"

namespace fastphoto {
namespace {

struct Picture {
  int height, width;
};

// Adds the moments of one pixel; kMoments is kContentMoments or kFitMoments, ordered as in local_affine.h.
template <class T, int kMoments>
__device__ inline void add_pixel(const T* content, const T* result, int64_t area, int64_t at,
                                 double moments[kMoments]) {
  const double c[3] = {static_cast<double>(content[at]), static_cast<double>(content[at + area]),
                       static_cast<double>(content[at + 2 * area])};
  moments[0] += c[0];
  moments[1] += c[1];
  moments[2] += c[2];
  moments[3] += c[0] * c[0];
  moments[4] += c[1] * c[0];
  moments[5] += c[1] * c[1];
  moments[6] += c[2] * c[0];
  moments[7] += c[2] * c[1];
  moments[8] += c[2] * c[2];
  if (kMoments == kContentMoments) return;
#pragma unroll
  for (int b = 0; b < 3; ++b) {
    const double r = static_cast<double>(result[at + b * area]);
    moments[kMoments == kFitMoments ? kContentMoments + b : 0] += r;
#pragma unroll
    for (int a = 0; a < 3; ++a) moments[kMoments == kFitMoments ? 12 + 3 * b + a : 0] += c[a] * r;
  }
}

// The moments of each pixel, (kMoments, H, W), from which those of large windows are summed.
template <class T, int kMoments>
__global__ void __launch_bounds__(kWindowThreads)
    moments_kernel(const T* content, const T* result, int64_t area, double* out) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  if (pixel >= area) return;
  double moments[kMoments];
#pragma unroll
  for (int m = 0; m < kMoments; ++m) moments[m] = 0;
  add_pixel<T, kMoments>(content, result, area, pixel, moments);
#pragma unroll
  for (int m = 0; m < kMoments; ++m) out[m * area + pixel] = moments[m];
}

// The moments of the window around a pixel, copied from `sums` unless it is null; returns 1 / the number of
// pixels in the window.
template <class T, int kMoments>
__device__ inline double window_moments(const T* content, const T* result, const double* sums, Picture size,
                                        int64_t radius, int64_t pixel, double moments[kMoments]) {
  const int64_t area = static_cast<int64_t>(size.height) * size.width;
  const int row = static_cast<int>(pixel / size.width), column = static_cast<int>(pixel % size.width);
  const int64_t top = window_begin(row, radius), bottom = window_end(row, radius, size.height);
  const int64_t left = window_begin(column, radius), right = window_end(column, radius, size.width);
#pragma unroll
  for (int m = 0; m < kMoments; ++m) moments[m] = sums ? sums[m * area + pixel] : 0;
  if (!sums)
    for (int64_t y = top; y < bottom; ++y)
      for (int64_t x = left; x < right; ++x)
        add_pixel<T, kMoments>(content, result, area, y * size.width + x, moments);
  return 1.0 / static_cast<double>((bottom - top) * (right - left));
}

// The map of each pixel.
template <class T>
__global__ void __launch_bounds__(kWindowThreads)
    fit_kernel(const T* content, const T* result, const double* sums, Picture size, int64_t radius,
               double epsilon, T* maps) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  if (pixel >= static_cast<int64_t>(size.height) * size.width) return;
  double moments[kFitMoments], map[12];
  const double inverse = window_moments<T, kFitMoments>(content, result, sums, size, radius, pixel, moments);
  fit_window(moments, inverse, epsilon, map);
#pragma unroll
  for (int m = 0; m < 12; ++m) maps[12 * pixel + m] = static_cast<T>(map[m]);
}

// models (12, H, W): (v, u) of each window. Summed over the windows with a pixel, they give its gradient.
template <class T>
__global__ void __launch_bounds__(kWindowThreads)
    fit_models_kernel(const T* grad, const T* content, const double* sums, Picture size, int64_t radius,
                      double epsilon, double* models) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  const int64_t area = static_cast<int64_t>(size.height) * size.width;
  if (pixel >= area) return;
  double moments[kContentMoments], incoming[12], model[12];
  const double inverse =
      window_moments<T, kContentMoments>(content, nullptr, sums, size, radius, pixel, moments);
#pragma unroll
  for (int m = 0; m < 12; ++m) incoming[m] = static_cast<double>(grad[12 * pixel + m]);
  fit_window_gradient(moments, inverse, epsilon, incoming, model);
#pragma unroll
  for (int m = 0; m < 12; ++m) models[m * area + pixel] = model[m];
}

// d r = content . v + u, with v and u summed over the window. For large windows `models` holds the sums, and
// the radius is 0.
template <class T>
__global__ void __launch_bounds__(kWindowThreads)
    fit_gradient_kernel(const double* models, const T* content, Picture size, int64_t radius, T* out) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  const int64_t area = static_cast<int64_t>(size.height) * size.width;
  if (pixel >= area) return;
  const int row = static_cast<int>(pixel / size.width), column = static_cast<int>(pixel % size.width);
  double sum[12];
#pragma unroll
  for (int m = 0; m < 12; ++m) sum[m] = 0;
  for (int64_t y = window_begin(row, radius); y < window_end(row, radius, size.height); ++y)
    for (int64_t x = window_begin(column, radius); x < window_end(column, radius, size.width); ++x)
#pragma unroll
      for (int m = 0; m < 12; ++m) sum[m] += models[m * area + y * size.width + x];
#pragma unroll
  for (int b = 0; b < 3; ++b)
    out[b * area + pixel] =
        static_cast<T>(sum[4 * b] * content[pixel] + sum[4 * b + 1] * content[pixel + area] +
                       sum[4 * b + 2] * content[pixel + 2 * area] + sum[4 * b + 3]);
}

Picture picture_of(const Checks& checks, const Tensor& content) {
  check_pixels(checks, content.size(0), content.size(1));
  return {static_cast<int>(content.size(0)), static_cast<int>(content.size(1))};
}

// The moments of all windows if they are large, else an unused tensor: each thread then sums its own window.
template <class T, int kMoments>
Tensor large_window_moments(const Checks& checks, const Launcher& launch, const Tensor& like,
                            const T* content, const T* result, Picture size, int64_t radius) {
  if (radius <= kDirectRadius) return empty_double_planes(like, 1, 1, 1);
  const int64_t area = static_cast<int64_t>(size.height) * size.width;
  const Tensor own = empty_double_planes(like, kMoments, size.height, size.width);
  const Tensor sums = empty_double_planes(like, kMoments, size.height, size.width);
  launch(moments_kernel<T, kMoments>, blocks_for(checks, area), kWindowThreads, content, result, area,
         own.mutable_data_ptr<double>());
  window_sums(checks, launch, like, own.const_data_ptr<double>(), kMoments, size.height, size.width, radius,
              sums.mutable_data_ptr<double>());
  return sums;
}

const double* if_large(const Tensor& sums, int64_t radius) {
  return radius > kDirectRadius ? sums.const_data_ptr<double>() : nullptr;
}

template <class T>
Tensor fit_value(const Checks& checks, const Tensor& content, const Tensor& result, int64_t radius,
                 double epsilon) {
  const Picture size = picture_of(checks, content);
  const Launcher launch(content);
  const Tensor content_planes = to_planes(content), result_planes = to_planes(result);
  const Tensor maps = torch::stable::new_empty(content, {content.size(0), content.size(1), 3, 4});
  const T *content_data = content_planes.const_data_ptr<T>(),
          *result_data = result_planes.const_data_ptr<T>();
  const Tensor sums =
      large_window_moments<T, kFitMoments>(checks, launch, content, content_data, result_data, size, radius);
  launch(fit_kernel<T>, blocks_for(checks, content.size(0) * content.size(1)), kWindowThreads, content_data,
         result_data, if_large(sums, radius), size, radius, epsilon, maps.mutable_data_ptr<T>());
  return maps;
}

Tensor local_affine_fit(const Tensor& content, const Tensor& result, int64_t radius, double epsilon) {
  const Checks checks("local_affine_fit");
  checks.picture("result", result, 1);
  check_fit(checks, content, result, "result", radius, epsilon);
  return content.scalar_type() == ScalarType::Float
             ? fit_value<float>(checks, content, result, radius, epsilon)
             : fit_value<double>(checks, content, result, radius, epsilon);
}

template <class T>
Tensor fit_gradient(const Checks& checks, const Tensor& any_grad, const Tensor& content, int64_t radius,
                    double epsilon) {
  const Picture size = picture_of(checks, content);
  const int64_t height = content.size(0), width = content.size(1);
  const Launcher launch(content);
  const Tensor content_planes = to_planes(content), grad = torch::stable::contiguous(any_grad);
  const Tensor models = empty_double_planes(content, 12, height, width),
               out = empty_planes(content, 3, height, width);
  const T* content_data = content_planes.const_data_ptr<T>();
  const unsigned blocks = blocks_for(checks, height * width);
  const Tensor sums = large_window_moments<T, kContentMoments>(checks, launch, content, content_data,
                                                               static_cast<const T*>(nullptr), size, radius);
  // (v, u) of every window, then their sums.
  launch(fit_models_kernel<T>, blocks, kWindowThreads, grad.const_data_ptr<T>(), content_data,
         if_large(sums, radius), size, radius, epsilon, models.mutable_data_ptr<double>());
  Tensor summed = models;
  if (radius > kDirectRadius) {
    summed = empty_double_planes(content, 12, height, width);
    window_sums(checks, launch, content, models.const_data_ptr<double>(), 12, height, width, radius,
                summed.mutable_data_ptr<double>());
  }
  launch(fit_gradient_kernel<T>, blocks, kWindowThreads, summed.const_data_ptr<double>(), content_data, size,
         radius > kDirectRadius ? 0 : radius, out.mutable_data_ptr<T>());
  return from_planes(out);
}

Tensor local_affine_fit_backward(const Tensor& grad, const Tensor& content, int64_t radius, double epsilon) {
  const Checks checks("local_affine_fit_backward");
  check_maps(checks, "grad", grad);
  check_fit(checks, content, grad, "grad", radius, epsilon);
  return content.scalar_type() == ScalarType::Float
             ? fit_gradient<float>(checks, grad, content, radius, epsilon)
             : fit_gradient<double>(checks, grad, content, radius, epsilon);
}

// ---- apply

// out = A c + b, with maps sampled bilinearly. Per pixel: 12 bytes read and 12 written, and up to 192 bytes
// of maps from the caches.
template <class T>
__global__ void __launch_bounds__(kWindowThreads)
    apply_kernel(const T* maps, Picture map_size, const T* content, Picture size, T* out) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kWindowThreads + threadIdx.x;
  const int64_t area = static_cast<int64_t>(size.height) * size.width;
  if (pixel >= area) return;
  const Between row = between(pixel / size.width, size.height, map_size.height);
  const Between column = between(pixel % size.width, size.width, map_size.width);
  const T down = static_cast<T>(row.fraction), along = static_cast<T>(column.fraction);
  const T* corners[4] = {maps + 12 * (row.low * map_size.width + column.low),
                         maps + 12 * (row.low * map_size.width + column.high),
                         maps + 12 * (row.high * map_size.width + column.low),
                         maps + 12 * (row.high * map_size.width + column.high)};
  const T c0 = content[pixel], c1 = content[pixel + area], c2 = content[pixel + 2 * area];
#pragma unroll
  for (int b = 0; b < 3; ++b) {
    T map[4];
#pragma unroll
    for (int a = 0; a < 4; ++a) {
      const T left = corners[0][4 * b + a] + down * (corners[2][4 * b + a] - corners[0][4 * b + a]);
      const T right = corners[1][4 * b + a] + down * (corners[3][4 * b + a] - corners[1][4 * b + a]);
      map[a] = left + along * (right - left);
    }
    out[b * area + pixel] = map[0] * c0 + map[1] * c1 + map[2] * c2 + map[3];
  }
}

template <class T>
Tensor apply_value(const Checks& checks, const Tensor& any_maps, const Tensor& content) {
  const Picture size = picture_of(checks, content), map_size = picture_of(checks, any_maps);
  const Launcher launch(content);
  const Tensor maps = torch::stable::contiguous(any_maps), content_planes = to_planes(content);
  const Tensor out = empty_planes(content, 3, content.size(0), content.size(1));
  launch(apply_kernel<T>, blocks_for(checks, content.size(0) * content.size(1)), kWindowThreads,
         maps.const_data_ptr<T>(), map_size, content_planes.const_data_ptr<T>(), size,
         out.mutable_data_ptr<T>());
  return from_planes(out);
}

Tensor local_affine_apply(const Tensor& maps, const Tensor& content) {
  const Checks checks("local_affine_apply");
  check_maps(checks, "maps", maps);
  checks.picture("content", content, 1);
  checks.alike("maps", maps, "content", content);
  return content.scalar_type() == ScalarType::Float ? apply_value<float>(checks, maps, content)
                                                    : apply_value<double>(checks, maps, content);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("local_affine_fit", TORCH_BOX(&local_affine_fit));
  m.impl("local_affine_fit_backward", TORCH_BOX(&local_affine_fit_backward));
  m.impl("local_affine_apply", TORCH_BOX(&local_affine_apply));
}

}  // namespace fastphoto
