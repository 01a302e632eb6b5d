// The matting Laplacian on CUDA from the image itself: products, energies, and the stencil's coefficients.
//
// Each thread of a block computes the window centred at one pixel of the block's tile. A pixel whose nine
// windows all belong to the tile, which excludes the tile's rim, is then summed by the thread of the window
// centred there. All arithmetic is in double.
//
// Bytes per pixel, for K planes of 4 bytes: 12 of the image, 4 K read, 4 K written. Flops: about 200 for the
// factor of a window and 160 K for products, times 1.4 for the rim.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "block_sum.cuh"
#include "matting_arguments.h"

namespace fastphoto {
namespace {

constexpr int kWidth = 32;
constexpr int kHeight = 8;
constexpr int kThreads = kWidth * kHeight;
constexpr int kInnerWidth = kWidth - 2;
constexpr int kInnerHeight = kHeight - 2;

struct Position {
  int row, column;  // of the thread's pixel, and of the centre of its window
  bool window;      // the window lies fully inside the image
  bool pixel;       // the pixel lies in the image, and not on the tile's rim
};

__device__ inline Position position_of(int height, int width, int tiles_across) {
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = static_cast<int>(blockIdx.x / tiles_across) * kInnerHeight + y - 1;
  const int column = static_cast<int>(blockIdx.x % tiles_across) * kInnerWidth + x - 1;
  return {row, column, row > 0 && row < height - 1 && column > 0 && column < width - 1,
          x > 0 && x < kWidth - 1 && y > 0 && y < kHeight - 1 && row < height && column < width};
}

// The mean colour of a window and the factor of its covariance; `corner` is its first pixel in plane 0.
template <class T>
__device__ inline WindowFactor window_of(const T* corner, int width, int64_t area, double epsilon,
                                         double mean[3]) {
  double s00 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s22 = 0;
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    double sum = 0;
#pragma unroll
    for (int i = 0; i < 9; ++i)
      sum += static_cast<double>(corner[c * area + i / 3 * static_cast<int64_t>(width) + i % 3]);
    mean[c] = sum * (1.0 / 9.0);
  }
#pragma unroll
  for (int i = 0; i < 9; ++i) {
    const T* pixel = corner + i / 3 * static_cast<int64_t>(width) + i % 3;
    const double d0 = pixel[0] - mean[0], d1 = pixel[area] - mean[1], d2 = pixel[2 * area] - mean[2];
    s00 += d0 * d0;
    s10 += d1 * d0;
    s11 += d1 * d1;
    s20 += d2 * d0;
    s21 += d2 * d1;
    s22 += d2 * d2;
  }
  return factor_window(s00, s10, s11, s20, s21, s22, epsilon);
}

// (L x)_i = sum over the windows k that hold i of x_i - b_k - a_k . I_i, where a_k . I + b_k is the best
// affine model of x in k.
template <class T, bool kEnergy>
__global__ void __launch_bounds__(kThreads)
    laplacian_kernel(const T* image, const T* x, int planes, int height, int width, int tiles_across,
                     double epsilon, T* out, double* partial) {
  __shared__ double model[4][kHeight][kWidth];  // a and b of each window
  const Position position = position_of(height, width, tiles_across);
  const int64_t area = static_cast<int64_t>(height) * width;
  const int64_t pixel = static_cast<int64_t>(position.row) * width + position.column;
  const int64_t corner = pixel - width - 1;
  // Factor the thread's window, and count the windows that hold its pixel.
  double mean[3] = {0, 0, 0};
  WindowFactor f{};
  if (position.window) f = window_of(image + corner, width, area, epsilon, mean);
  const int windows = (min(position.row + 1, height - 2) - max(position.row - 1, 1) + 1) *
                      (min(position.column + 1, width - 2) - max(position.column - 1, 1) + 1);
  double energy = 0;
  for (int plane = 0; plane < planes; ++plane) {
    const T* values = x + plane * area;
    // Fit the window's affine model.
    double a0 = 0, a1 = 0, a2 = 0, b = 0;
    if (position.window) {
      double sum = 0;
#pragma unroll
      for (int i = 0; i < 9; ++i)
        sum += static_cast<double>(values[corner + i / 3 * static_cast<int64_t>(width) + i % 3]);
      const double centre = sum * (1.0 / 9.0);
      double c0 = 0, c1 = 0, c2 = 0;
#pragma unroll
      for (int i = 0; i < 9; ++i) {
        const int64_t at = corner + i / 3 * static_cast<int64_t>(width) + i % 3;
        const double q = values[at] - centre;
        c0 += (image[at] - mean[0]) * q;
        c1 += (image[at + area] - mean[1]) * q;
        c2 += (image[at + 2 * area] - mean[2]) * q;
      }
      // a = (R diag(d) R^T)^-1 c / 9
      const double w0 = c0 * (1.0 / 9.0), w1 = c1 * (1.0 / 9.0) - f.r10 * w0;
      const double w2 = c2 * (1.0 / 9.0) - f.r20 * w0 - f.r21 * w1;
      a2 = w2 * f.inverse_d2;
      a1 = w1 * f.inverse_d1 - f.r21 * a2;
      a0 = w0 * f.inverse_d0 - f.r10 * a1 - f.r20 * a2;
      b = centre - a0 * mean[0] - a1 * mean[1] - a2 * mean[2];
      // Sum the energy, sum_i r_i^2 + epsilon |a|^2; a window on the rim belongs to another tile.
      if (kEnergy && position.pixel) {
        energy += epsilon * (a0 * a0 + a1 * a1 + a2 * a2);
#pragma unroll
        for (int i = 0; i < 9; ++i) {
          const int64_t at = corner + i / 3 * static_cast<int64_t>(width) + i % 3;
          const double r =
              (values[at] - centre) - (a0 * (image[at] - mean[0]) + a1 * (image[at + area] - mean[1]) +
                                       a2 * (image[at + 2 * area] - mean[2]));
          energy += r * r;
        }
      }
    }
    // Share the models, and sum the nine around the thread's pixel.
    model[0][threadIdx.y][threadIdx.x] = a0;
    model[1][threadIdx.y][threadIdx.x] = a1;
    model[2][threadIdx.y][threadIdx.x] = a2;
    model[3][threadIdx.y][threadIdx.x] = b;
    __syncthreads();
    if (position.pixel) {
      double sum[4] = {0, 0, 0, 0};
#pragma unroll
      for (int i = 0; i < 9; ++i)
#pragma unroll
        for (int m = 0; m < 4; ++m) sum[m] += model[m][threadIdx.y + i / 3 - 1][threadIdx.x + i % 3 - 1];
      out[plane * area + pixel] = static_cast<T>(
          windows * static_cast<double>(values[pixel]) - sum[3] -
          (sum[0] * image[pixel] + sum[1] * image[pixel + area] + sum[2] * image[pixel + 2 * area]));
    }
    __syncthreads();  // before the next plane overwrites the models
  }
  if (kEnergy) {
    const double total = block_sum<kThreads>(energy);
    if (threadIdx.x == 0 && threadIdx.y == 0) partial[blockIdx.x] = total;
  }
}

// L_ij = -sum over the windows that hold i and j of (1 + w_i^T diag(1 / d) w_j) / 9, with w = R^-1 (I - mu).
template <class T>
__global__ void __launch_bounds__(kThreads)
    stencil_kernel(const T* image, int height, int width, int tiles_across, double epsilon, T* out) {
  __shared__ double windows[9][kHeight][kWidth];  // mean, R, 1 / d
  const Position position = position_of(height, width, tiles_across);
  const int64_t area = static_cast<int64_t>(height) * width;
  const int64_t pixel = static_cast<int64_t>(position.row) * width + position.column;
  // Factor the thread's window and share it.
  if (position.window) {
    double mean[3];
    const WindowFactor f = window_of(image + (pixel - width - 1), width, area, epsilon, mean);
    const double values[9] = {mean[0], mean[1],      mean[2],      f.r10,       f.r20,
                              f.r21,   f.inverse_d0, f.inverse_d1, f.inverse_d2};
#pragma unroll
    for (int m = 0; m < 9; ++m) windows[m][threadIdx.y][threadIdx.x] = values[m];
  }
  __syncthreads();
  if (!position.pixel) return;
  // Go through the nine windows that hold the pixel, and the pixels that follow it in each.
  double sum[kStencilPlanes];
#pragma unroll
  for (int plane = 0; plane < kStencilPlanes; ++plane) sum[plane] = 0;
  const T* own = image + pixel;
  for (int k = 0; k < 9; ++k) {  // the pixel is number k of the window
    const int dy = k / 3, dx = k % 3, row = position.row + 1 - dy, column = position.column + 1 - dx;
    if (row < 1 || row > height - 2 || column < 1 || column > width - 2) continue;
    double w[9];
#pragma unroll
    for (int m = 0; m < 9; ++m) w[m] = windows[m][threadIdx.y + 1 - dy][threadIdx.x + 1 - dx];
    const double i0 = own[0] - w[0], i1 = own[area] - w[1] - w[3] * i0,
                 i2 = own[2 * area] - w[2] - w[4] * i0 - w[5] * i1;
    const double s0 = i0 * w[6] * (-1.0 / 9.0), s1 = i1 * w[7] * (-1.0 / 9.0), s2 = i2 * w[8] * (-1.0 / 9.0);
#pragma unroll
    for (int y = 0; y <= 2; ++y)
#pragma unroll
      for (int x = -2; x <= 2; ++x) {
        if (y == 0 && x <= 0) continue;
        if (dy + y > 2 || dx + x < 0 || dx + x > 2) continue;
        const T* other = own + y * static_cast<int64_t>(width) + x;
        const double j0 = other[0] - w[0], j1 = other[area] - w[1] - w[3] * j0,
                     j2 = other[2 * area] - w[2] - w[4] * j0 - w[5] * j1;
        sum[stencil_plane(y, x)] += s0 * j0 + s1 * j1 + s2 * j2 - 1.0 / 9.0;
      }
  }
#pragma unroll
  for (int plane = 0; plane < kStencilPlanes; ++plane) out[plane * area + pixel] = static_cast<T>(sum[plane]);
}

struct Tiles {
  int64_t across, count;  // tiles in a row of them, and in all
};

Tiles tiles_of(const Checks& checks, int64_t height, int64_t width) {
  check_pixels(checks, height, width);
  const int64_t across = ceil_divide<int64_t>(width, kInnerWidth);
  return {across, across * ceil_divide<int64_t>(height, kInnerHeight)};
}

// L x, and the energy in `value` unless it is null.
template <class T>
Tensor laplacian_value(const Checks& checks, const Tensor& image, const Tensor& x, double epsilon,
                       Tensor* value) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  const Tiles tiles = tiles_of(checks, height, width);
  const Launcher launch(x);
  const Tensor image_planes = to_planes(image), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width),
               partial = empty_doubles(x, value ? tiles.count : 1);
  launch(value ? laplacian_kernel<T, true> : laplacian_kernel<T, false>, static_cast<unsigned>(tiles.count),
         dim3(kWidth, kHeight), image_planes.const_data_ptr<T>(), x_planes.const_data_ptr<T>(),
         static_cast<int>(planes), static_cast<int>(height), static_cast<int>(width),
         static_cast<int>(tiles.across), epsilon, out.mutable_data_ptr<T>(),
         partial.mutable_data_ptr<double>());
  if (value)
    launch(total_kernel<T, 512>, 1, 512, partial.const_data_ptr<double>(), tiles.count,
           value->mutable_data_ptr<T>());
  return from_planes(out);
}

Tensor matting_laplacian(const Tensor& image, const Tensor& x, double epsilon) {
  const Checks checks("matting_laplacian");
  check_laplacian(checks, image, x, epsilon);
  return x.scalar_type() == ScalarType::Float ? laplacian_value<float>(checks, image, x, epsilon, nullptr)
                                              : laplacian_value<double>(checks, image, x, epsilon, nullptr);
}

std::tuple<Tensor, Tensor> matting_laplacian_energy(const Tensor& image, const Tensor& x, double epsilon) {
  const Checks checks("matting_laplacian_energy");
  check_laplacian(checks, image, x, epsilon);
  Tensor value = scalar_like(x);
  const Tensor out = x.scalar_type() == ScalarType::Float
                         ? laplacian_value<float>(checks, image, x, epsilon, &value)
                         : laplacian_value<double>(checks, image, x, epsilon, &value);
  return {value, out};
}

template <class T>
Tensor laplacian_coefficients(const Checks& checks, const Tensor& image, double epsilon) {
  const int64_t height = image.size(0), width = image.size(1);
  const Tiles tiles = tiles_of(checks, height, width);
  const Launcher launch(image);
  const Tensor image_planes = to_planes(image), out = empty_planes(image, kStencilPlanes, height, width);
  launch(stencil_kernel<T>, static_cast<unsigned>(tiles.count), dim3(kWidth, kHeight),
         image_planes.const_data_ptr<T>(), static_cast<int>(height), static_cast<int>(width),
         static_cast<int>(tiles.across), epsilon, out.mutable_data_ptr<T>());
  return out;
}

Tensor matting_laplacian_stencil(const Tensor& image, double epsilon) {
  const Checks checks("matting_laplacian_stencil");
  check_image(checks, image, epsilon);
  return image.scalar_type() == ScalarType::Float ? laplacian_coefficients<float>(checks, image, epsilon)
                                                  : laplacian_coefficients<double>(checks, image, epsilon);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("matting_laplacian", TORCH_BOX(&matting_laplacian));
  m.impl("matting_laplacian_energy", TORCH_BOX(&matting_laplacian_energy));
  m.impl("matting_laplacian_stencil", TORCH_BOX(&matting_laplacian_stencil));
}

}  // namespace fastphoto
