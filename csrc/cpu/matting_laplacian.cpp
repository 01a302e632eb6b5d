// The matting Laplacian on the CPU from the image itself: products, energies, and the stencil's coefficients.
//
// Windows are processed row by row, kBlock side by side in vector lanes, all in double. Each window adds to
// the three image rows that it covers. A task owns a band of rows and recomputes the windows at the band's
// border, so that the value of a row does not depend on how rows are shared among threads.
//
// Bytes per pixel, for K planes of 4 bytes: 12 of the image, 4 K read, 4 K written. Flops: about 250 for the
// factor and the whitening of a window, and 140 K for products.
#include "matting_laplacian.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "layout.h"
#include "matting_arguments.h"
#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int kBlock = 64;         // windows in a block, whose numbers should stay in the cache; by eye
constexpr int64_t kBandRows = 32;  // of which two are computed twice; by eye

// kBlock neighbouring windows: the whitened colours w_i = R^-1 (I_i - mu) of their nine pixels, R and 1 / d.
struct WindowBlock {
  double whitened[9][3][kBlock];
  WindowFactor factor[kBlock];
  double inverse_d[3][kBlock];
};

// Loads the windows centred at (row, column) ... (row, column + count - 1) of the (3, height, width) image.
template <class T>
FASTPHOTO_INLINE void load_windows(const T* image, int64_t height, int64_t width, int64_t row, int64_t column,
                                   int count, double epsilon, WindowBlock& block) {
  // Subtract the mean colours.
  double products[6][kBlock];
  for (int c = 0; c < 3; ++c) {
    const T* corner = image + (c * height + row - 1) * width + column - 1;
    double mean[kBlock];
    for (int j = 0; j < count; ++j) {
      double sum = 0;
      for (int i = 0; i < 9; ++i) sum += static_cast<double>(corner[i / 3 * width + i % 3 + j]);
      mean[j] = sum * (1.0 / 9.0);
    }
    for (int i = 0; i < 9; ++i) {
      const T* pixel = corner + i / 3 * width + i % 3;
      for (int j = 0; j < count; ++j) block.whitened[i][c][j] = static_cast<double>(pixel[j]) - mean[j];
    }
  }
  // Sum the lower triangle of (I - mu)(I - mu)^T, and factor it.
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b <= a; ++b)
      for (int j = 0; j < count; ++j) {
        double sum = 0;
        for (int i = 0; i < 9; ++i) sum += block.whitened[i][a][j] * block.whitened[i][b][j];
        products[a * (a + 1) / 2 + b][j] = sum;
      }
  double r10[kBlock], r20[kBlock], r21[kBlock];
  for (int j = 0; j < count; ++j) {
    const WindowFactor f = factor_window(products[0][j], products[1][j], products[2][j], products[3][j],
                                         products[4][j], products[5][j], epsilon);
    r10[j] = f.r10;
    r20[j] = f.r20;
    r21[j] = f.r21;
    block.inverse_d[0][j] = f.inverse_d0;
    block.inverse_d[1][j] = f.inverse_d1;
    block.inverse_d[2][j] = f.inverse_d2;
    block.factor[j] = f;
  }
  // Whiten the colours: solve R w = I - mu.
  for (int i = 0; i < 9; ++i)
    for (int j = 0; j < count; ++j) {
      const double w0 = block.whitened[i][0][j];
      const double w1 = block.whitened[i][1][j] - r10[j] * w0;
      block.whitened[i][1][j] = w1;
      block.whitened[i][2][j] -= r20[j] * w0 + r21[j] * w1;
    }
}

// Adds the residuals of a block of windows to the three rows that the windows cover: r_i = q_i - w_i^T
// diag(1 / d) c, with q = x - its mean over the window and c = sum_i w_i q_i / 9. Returns what the windows
// add to the energy, sum_i r_i^2 + epsilon |a|^2.
template <class T, bool kEnergy>
FASTPHOTO_INLINE double add_residuals(const WindowBlock& block, const T* corner, int64_t width, int count,
                                      double epsilon, double* const rows[3]) {
  // Subtract the means: q.
  double centred[9][kBlock], c[3][kBlock], mean[kBlock], energy[kBlock];
  for (int j = 0; j < count; ++j) {
    double sum = 0;
    for (int i = 0; i < 9; ++i) sum += static_cast<double>(corner[i / 3 * width + i % 3 + j]);
    mean[j] = sum * (1.0 / 9.0);
  }
  for (int i = 0; i < 9; ++i) {
    const T* pixel = corner + i / 3 * width + i % 3;
    for (int j = 0; j < count; ++j) centred[i][j] = static_cast<double>(pixel[j]) - mean[j];
  }
  // Project on the whitened colours: c, from which |a|^2 and diag(1 / d) c follow.
  for (int m = 0; m < 3; ++m)
    for (int j = 0; j < count; ++j) {
      double sum = 0;
      for (int i = 0; i < 9; ++i) sum += block.whitened[i][m][j] * centred[i][j];
      c[m][j] = sum * (1.0 / 9.0);
    }
  if (kEnergy)
    for (int j = 0; j < count; ++j)
      energy[j] = epsilon * model_norm(block.factor[j], c[0][j], c[1][j], c[2][j]);
  for (int m = 0; m < 3; ++m)
    for (int j = 0; j < count; ++j) c[m][j] *= block.inverse_d[m][j];
  // Add the residuals r to the rows.
  for (int i = 0; i < 9; ++i) {
    double* out = rows[i / 3] + i % 3;
    for (int j = 0; j < count; ++j) {
      const double residual =
          centred[i][j] - (block.whitened[i][0][j] * c[0][j] + block.whitened[i][1][j] * c[1][j] +
                           block.whitened[i][2][j] * c[2][j]);
      if (kEnergy) energy[j] += residual * residual;
      out[j] += residual;
    }
  }
  return kEnergy ? ordered_sum(energy, count) : 0;
}

// Computes rows [begin, end) of out = L x, and row_energy, (planes, height): of the windows centred in a row.
template <class T, bool kEnergy>
FASTPHOTO_INLINE void product_band(const T* image, const T* x, int64_t planes, int64_t height, int64_t width,
                                   double epsilon, int64_t begin, int64_t end, T* out, double* row_energy) {
  WindowBlock block;
  std::vector<double> sums(3 * planes * width, 0.0);  // row y of the image is at y % 3
  const auto sums_of = [&](int64_t y, int64_t plane) {
    return sums.data() + (y % 3 * planes + plane) * width;
  };
  const int64_t last = std::min(height - 2, end);
  for (int64_t row = std::max<int64_t>(1, begin - 1); row <= last; ++row) {
    // Add the windows centred in this row to the three rows around it.
    for (int64_t column = 1; column < width - 1; column += kBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kBlock, width - 1 - column));
      load_windows(image, height, width, row, column, count, epsilon, block);
      for (int64_t plane = 0; plane < planes; ++plane) {
        const T* corner = x + (plane * height + row - 1) * width + column - 1;
        double* const rows[3] = {sums_of(row - 1, plane) + column - 1, sums_of(row, plane) + column - 1,
                                 sums_of(row + 1, plane) + column - 1};
        const double energy = add_residuals<T, kEnergy>(block, corner, width, count, epsilon, rows);
        if (kEnergy && row >= begin && row < end) row_energy[plane * height + row] += energy;
      }
    }
    // Write the row above, which is complete now; after the last windows all three rows are.
    for (int64_t y = row - 1; y <= (row == height - 2 ? height - 1 : row - 1); ++y)
      for (int64_t plane = 0; plane < planes; ++plane) {
        double* finished = sums_of(y, plane);
        if (y >= begin && y < end)
          for (int64_t i = 0; i < width; ++i)
            out[(plane * height + y) * width + i] = static_cast<T>(finished[i]);
        std::fill_n(finished, width, 0.0);
      }
  }
}

// Computes rows [begin, end) of the twelve planes of coefficients, L_ij = -sum over the windows that hold i
// and j of (1 + w_i^T diag(1 / d) w_j) / 9.
template <class T>
FASTPHOTO_INLINE void stencil_band(const T* image, int64_t height, int64_t width, double epsilon,
                                   int64_t begin, int64_t end, T* out) {
  WindowBlock block;
  std::vector<double> sums(3 * kStencilPlanes * width, 0.0);
  const auto sums_of = [&](int64_t y, int plane) {
    return sums.data() + (y % 3 * kStencilPlanes + plane) * width;
  };
  const int64_t last = std::min(height - 2, end);
  for (int64_t row = std::max<int64_t>(1, begin - 1); row <= last; ++row) {
    for (int64_t column = 1; column < width - 1; column += kBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kBlock, width - 1 - column));
      load_windows(image, height, width, row, column, count, epsilon, block);
      // Add the 36 pairs (i, k) of a window's pixels, each at its first pixel.
      for (int i = 0; i < 8; ++i) {
        double scaled[3][kBlock];
        for (int m = 0; m < 3; ++m)
          for (int j = 0; j < count; ++j)
            scaled[m][j] = block.whitened[i][m][j] * block.inverse_d[m][j] * (-1.0 / 9.0);
        for (int k = i + 1; k < 9; ++k) {
          const int plane = stencil_plane(k / 3 - i / 3, k % 3 - i % 3);
          double* sum = sums_of(row - 1 + i / 3, plane) + column - 1 + i % 3;
          for (int j = 0; j < count; ++j)
            sum[j] += scaled[0][j] * block.whitened[k][0][j] + scaled[1][j] * block.whitened[k][1][j] +
                      scaled[2][j] * block.whitened[k][2][j] - 1.0 / 9.0;
        }
      }
    }
    // Write the row above, which is complete now; after the last windows all three rows are.
    for (int64_t y = row - 1; y <= (row == height - 2 ? height - 1 : row - 1); ++y)
      for (int plane = 0; plane < kStencilPlanes; ++plane) {
        double* finished = sums_of(y, plane);
        if (y >= begin && y < end)
          for (int64_t i = 0; i < width; ++i)
            out[(plane * height + y) * width + i] = static_cast<T>(finished[i]);
        std::fill_n(finished, width, 0.0);
      }
  }
}

// Calls band(begin, end) for the bands of rows, in parallel.
template <class F>
void over_bands(int64_t height, const F& band) {
  const int64_t bands = (height + kBandRows - 1) / kBandRows;
  parallel_for(0, bands, 1, [&](int64_t first, int64_t last) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t i = first; i < last; ++i) band(i * kBandRows, std::min(height, (i + 1) * kBandRows));
    });
  });
}

// L x, and the energy unless `energy` is null.
template <class T>
Tensor laplacian_value(const Tensor& image, const Tensor& x, double epsilon, double* energy) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  const Tensor image_planes = to_planes(image), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width);
  const T* image_data = image_planes.const_data_ptr<T>();
  const T* x_data = x_planes.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  std::vector<double> row_energy(energy ? planes * height : 0, 0.0);
  over_bands(height, [&](int64_t begin, int64_t end) FASTPHOTO_INLINED_LAMBDA {
    if (energy)
      product_band<T, true>(image_data, x_data, planes, height, width, epsilon, begin, end, out_data,
                            row_energy.data());
    else
      product_band<T, false>(image_data, x_data, planes, height, width, epsilon, begin, end, out_data,
                             nullptr);
  });
  if (energy) *energy = ordered_sum(row_energy.data(), planes * height);
  return from_planes(out);
}

Tensor matting_laplacian(const Tensor& image, const Tensor& x, double epsilon) {
  check_laplacian(Checks("matting_laplacian"), image, x, epsilon);
  return x.scalar_type() == ScalarType::Float ? laplacian_value<float>(image, x, epsilon, nullptr)
                                              : laplacian_value<double>(image, x, epsilon, nullptr);
}

std::tuple<Tensor, Tensor> matting_laplacian_energy(const Tensor& image, const Tensor& x, double epsilon) {
  check_laplacian(Checks("matting_laplacian_energy"), image, x, epsilon);
  double energy = 0;
  const Tensor out = x.scalar_type() == ScalarType::Float
                         ? laplacian_value<float>(image, x, epsilon, &energy)
                         : laplacian_value<double>(image, x, epsilon, &energy);
  Tensor value = scalar_like(x);
  torch::stable::fill_(value, energy);
  return {value, out};
}

template <class T>
Tensor laplacian_coefficients(const Tensor& image, double epsilon) {
  const int64_t height = image.size(0), width = image.size(1);
  const Tensor image_planes = to_planes(image);
  const Tensor out = empty_planes(image, kStencilPlanes, height, width);
  const T* image_data = image_planes.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  over_bands(height, [&](int64_t begin, int64_t end) FASTPHOTO_INLINED_LAMBDA {
    stencil_band(image_data, height, width, epsilon, begin, end, out_data);
  });
  return out;
}

Tensor matting_laplacian_stencil(const Tensor& image, double epsilon) {
  check_image(Checks("matting_laplacian_stencil"), image, epsilon);
  return image.scalar_type() == ScalarType::Float ? laplacian_coefficients<float>(image, epsilon)
                                                  : laplacian_coefficients<double>(image, epsilon);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("matting_laplacian", TORCH_BOX(&matting_laplacian));
  m.impl("matting_laplacian_energy", TORCH_BOX(&matting_laplacian_energy));
  m.impl("matting_laplacian_stencil", TORCH_BOX(&matting_laplacian_stencil));
}

}  // namespace fastphoto
