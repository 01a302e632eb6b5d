// The matting Laplacian on CUDA from its stencil: y_i = sum over j != i of L_ij (x_j - x_i), and the energy
// -sum over pairs of L_ij (x_i - x_j)^2.
//
// Bytes per pixel, for K planes of 4 bytes: 48 of coefficients for every three planes, 4 K read, 4 K written.
// The coefficients of pairs that end at a pixel lie at pixels up to two rows above, which the caches still
// hold. Flops: 72 K, and 36 K for the energy.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "block_sum.cuh"
#include "matting_arguments.h"

namespace fastphoto {
namespace {

constexpr int kWidth = 32;  // of a block's tile
constexpr int kHeight = 8;
constexpr int kThreads = kWidth * kHeight;
constexpr int kPlanes = 3;  // planes at once, so that the coefficients are read once for a colour image
constexpr int kHalo = 2;

// There is a block for each tile and group of planes. Shared memory holds the tile of x with its halo. Beyond
// the image the halo repeats the border, and is not read.
template <class T, bool kEnergy>
__global__ void __launch_bounds__(kThreads)
    stencil_product_kernel(const T* stencil, const T* x, int planes, int height, int width, int tiles_across,
                           T* out, double* partial) {
  __shared__ T tile[kPlanes][kHeight + 2 * kHalo][kWidth + 2 * kHalo];
  const int64_t area = static_cast<int64_t>(height) * width;
  const int left = static_cast<int>(blockIdx.x % tiles_across) * kWidth;
  const int top = static_cast<int>(blockIdx.x / tiles_across) * kHeight;
  const int first = blockIdx.y * kPlanes, count = min(kPlanes, planes - first);
  const int thread = threadIdx.y * kWidth + threadIdx.x;
  // Load the tile and its halo.
  constexpr int kTileWidth = kWidth + 2 * kHalo, kTileArea = kTileWidth * (kHeight + 2 * kHalo);
  for (int n = thread; n < kTileArea * count; n += kThreads) {
    const int plane = n / kTileArea, row = n % kTileArea / kTileWidth, column = n % kTileWidth;
    const int y = min(max(top + row - kHalo, 0), height - 1),
              i = min(max(left + column - kHalo, 0), width - 1);
    tile[plane][row][column] = x[(first + plane) * area + static_cast<int64_t>(y) * width + i];
  }
  __syncthreads();

  // Each thread sums the 24 pairs of its pixel, and the energy of the 12 that begin there.
  const int column = left + threadIdx.x, row = top + threadIdx.y;
  double energy = 0;
  if (column < width && row < height) {
    const int64_t pixel = static_cast<int64_t>(row) * width + column;
    T sum[kPlanes], square[kPlanes], centre[kPlanes];
#pragma unroll
    for (int k = 0; k < kPlanes; ++k) {
      sum[k] = square[k] = T(0);
      centre[k] = tile[k][threadIdx.y + kHalo][threadIdx.x + kHalo];
    }
#pragma unroll
    for (int dy = -2; dy <= 2; ++dy)
#pragma unroll
      for (int dx = -2; dx <= 2; ++dx) {
        if (dy == 0 && dx == 0) continue;
        if (row + dy < 0 || row + dy >= height || column + dx < 0 || column + dx >= width) continue;
        const bool forward = dy > 0 || (dy == 0 && dx > 0);
        const int64_t plane = forward ? stencil_plane(dy, dx) : stencil_plane(-dy, -dx);
        const T coefficient =
            stencil[plane * area + pixel + (forward ? 0 : static_cast<int64_t>(dy) * width + dx)];
#pragma unroll
        for (int k = 0; k < kPlanes; ++k) {
          if (k >= count) continue;
          const T difference = tile[k][threadIdx.y + kHalo + dy][threadIdx.x + kHalo + dx] - centre[k];
          const T product = coefficient * difference;
          sum[k] += product;
          if (kEnergy && forward) square[k] -= product * difference;
        }
      }
    // Write the product.
#pragma unroll
    for (int k = 0; k < kPlanes; ++k) {
      if (k >= count) continue;
      out[(first + k) * area + pixel] = sum[k];
      energy += square[k];
    }
  }
  // Add up the energy of the block.
  if (kEnergy) {
    const double total = block_sum<kThreads>(energy);
    if (thread == 0) partial[static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x] = total;
  }
}

// L x, and the energy in `value` unless it is null.
template <class T>
Tensor stencil_value(const Checks& checks, const Tensor& stencil, const Tensor& x, Tensor* value) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  check_pixels(checks, height, width);
  const int64_t groups = ceil_divide<int64_t>(planes, kPlanes), across = ceil_divide<int64_t>(width, kWidth);
  checks.that(groups <= 65535, "x is ", Checks::describe(x), ", expected at most ", 65535 * kPlanes,
              " planes");
  const Launcher launch(x);
  const Tensor coefficients = torch::stable::contiguous(stencil), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width);
  const int64_t tiles = across * ceil_divide<int64_t>(height, kHeight);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(groups));
  const Tensor partial = empty_doubles(x, value ? tiles * groups : 1);
  launch(value ? stencil_product_kernel<T, true> : stencil_product_kernel<T, false>, grid,
         dim3(kWidth, kHeight), coefficients.const_data_ptr<T>(), x_planes.const_data_ptr<T>(),
         static_cast<int>(planes), static_cast<int>(height), static_cast<int>(width),
         static_cast<int>(across), out.mutable_data_ptr<T>(), partial.mutable_data_ptr<double>());
  if (value)
    launch(total_kernel<T, 512>, 1, 512, partial.const_data_ptr<double>(), tiles * groups,
           value->mutable_data_ptr<T>());
  return from_planes(out);
}

Tensor stencil_product(const Tensor& stencil, const Tensor& x) {
  const Checks checks("stencil_product");
  check_stencil(checks, stencil, x);
  return x.scalar_type() == ScalarType::Float ? stencil_value<float>(checks, stencil, x, nullptr)
                                              : stencil_value<double>(checks, stencil, x, nullptr);
}

std::tuple<Tensor, Tensor> stencil_energy(const Tensor& stencil, const Tensor& x) {
  const Checks checks("stencil_energy");
  check_stencil(checks, stencil, x);
  Tensor value = scalar_like(x);
  const Tensor out = x.scalar_type() == ScalarType::Float ? stencil_value<float>(checks, stencil, x, &value)
                                                          : stencil_value<double>(checks, stencil, x, &value);
  return {value, out};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("stencil_product", TORCH_BOX(&stencil_product));
  m.impl("stencil_energy", TORCH_BOX(&stencil_energy));
}

}  // namespace fastphoto
