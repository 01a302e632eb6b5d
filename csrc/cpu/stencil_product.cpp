// The matting Laplacian on the CPU from its stencil: y_i = sum over j != i of L_ij (x_j - x_i), and the
// energy.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "layout.h"
#include "matting_arguments.h"
#include "matting_laplacian.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int64_t kStrip = 512;

// sum[i] += sum over the five shifts s = -2..2 of coefficients[s][i] (x[i + s] - centre[i]), s = 0 left out
// when the row is the centre's own; energy likewise with the squared difference, for each pair once.
template <class T, bool kEnergy>
FASTPHOTO_INLINE void add_row(const T* __restrict c0, const T* __restrict c1, const T* __restrict c2,
                              const T* __restrict c3, const T* __restrict c4, const T* __restrict x,
                              const T* __restrict centre, int64_t count, T* __restrict sum,
                              T* __restrict energy) {
  for (int64_t i = 0; i < count; ++i) {
    const T middle = centre[i];
    const T d0 = x[i - 2] - middle, d1 = x[i - 1] - middle, d2 = x[i] - middle, d3 = x[i + 1] - middle,
            d4 = x[i + 2] - middle;
    const T p0 = c0[i] * d0, p1 = c1[i] * d1, p2 = c2[i] * d2, p3 = c3[i] * d3, p4 = c4[i] * d4;
    sum[i] += ((p0 + p1) + (p3 + p4)) + p2;
    if (kEnergy) energy[i] -= ((p0 * d0 + p1 * d1) + (p3 * d3 + p4 * d4)) + p2 * d2;
  }
}

template <class T, bool kEnergy>
FASTPHOTO_INLINE void set_own_row(const T* __restrict c0, const T* __restrict c1, const T* __restrict c3,
                                  const T* __restrict c4, const T* __restrict x, int64_t count,
                                  T* __restrict sum, T* __restrict energy) {
  for (int64_t i = 0; i < count; ++i) {
    const T d0 = x[i - 2] - x[i], d1 = x[i - 1] - x[i], d3 = x[i + 1] - x[i], d4 = x[i + 2] - x[i];
    const T p3 = c3[i] * d3, p4 = c4[i] * d4;
    sum[i] = (c0[i] * d0 + c1[i] * d1) + (p3 + p4);
    if (kEnergy) energy[i] = -(p3 * d3 + p4 * d4);
  }
}

template <class T>
struct Picture {
  const T* stencil;  // (12, height, width)
  const T* x;        // one plane, (height, width)
  int64_t height, width;

  const T* coefficients(int dy, int dx, int64_t y, int64_t column) const {
    return stencil + (stencil_plane(dy, dx) * height + y) * width + column;
  }
};

// A pixel within two columns of the left or right edge, where some of the pairs do not exist.
template <class T>
FASTPHOTO_INLINE T edge_pixel(const Picture<T>& picture, int64_t y, int64_t column, double& energy) {
  const T* middle = picture.x + y * picture.width + column;
  T sum = 0;
  for (int dy = -2; dy <= 2; ++dy) {
    if (y + dy < 0 || y + dy >= picture.height) continue;
    for (int dx = -2; dx <= 2; ++dx) {
      if (column + dx < 0 || column + dx >= picture.width || (dy == 0 && dx == 0)) continue;
      const bool forward = dy > 0 || (dy == 0 && dx > 0);
      const T coefficient = forward ? *picture.coefficients(dy, dx, y, column)
                                    : *picture.coefficients(-dy, -dx, y + dy, column + dx);
      const T difference = middle[dy * picture.width + dx] - *middle;
      sum += coefficient * difference;
      if (forward) energy -= coefficient * difference * difference;
    }
  }
  return sum;
}

template <class T, bool kEnergy>
FASTPHOTO_INLINE double product_row(const Picture<T>& picture, int64_t y, T* out) {
  const int64_t width = picture.width, height = picture.height;
  double total = 0;
  for (int64_t column = 0; column < width; column = column == 1 && width > 4 ? width - 2 : column + 1)
    out[column] = edge_pixel(picture, y, column, total);
  T sum[kStrip], energy[kStrip];
  for (int64_t begin = 2; begin < width - 2; begin += kStrip) {
    const int64_t count = std::min(kStrip, width - 2 - begin);
    const T* centre = picture.x + y * width + begin;
    set_own_row<T, kEnergy>(picture.coefficients(0, 2, y, begin - 2),
                            picture.coefficients(0, 1, y, begin - 1), picture.coefficients(0, 1, y, begin),
                            picture.coefficients(0, 2, y, begin), centre, count, sum, energy);
    for (int dy = 1; dy <= 2; ++dy) {
      if (y + dy < height)
        add_row<T, kEnergy>(picture.coefficients(dy, -2, y, begin), picture.coefficients(dy, -1, y, begin),
                            picture.coefficients(dy, 0, y, begin), picture.coefficients(dy, 1, y, begin),
                            picture.coefficients(dy, 2, y, begin), centre + dy * width, centre, count, sum,
                            energy);
      if (y - dy >= 0)
        add_row<T, false>(
            picture.coefficients(dy, 2, y - dy, begin - 2), picture.coefficients(dy, 1, y - dy, begin - 1),
            picture.coefficients(dy, 0, y - dy, begin), picture.coefficients(dy, -1, y - dy, begin + 1),
            picture.coefficients(dy, -2, y - dy, begin + 2), centre - dy * width, centre, count, sum, energy);
    }
    std::copy_n(sum, count, out + begin);
    if (kEnergy) total += ordered_sum(energy, count);
  }
  return total;
}

#define FASTPHOTO_ROWS(T)                                                            \
  FASTPHOTO_CLONES void run_product(const Picture<T>& picture, int64_t y, T* out) {  \
    product_row<T, false>(picture, y, out);                                          \
  }                                                                                  \
  FASTPHOTO_CLONES double run_energy(const Picture<T>& picture, int64_t y, T* out) { \
    return product_row<T, true>(picture, y, out);                                    \
  }
FASTPHOTO_ROWS(float)
FASTPHOTO_ROWS(double)
#undef FASTPHOTO_ROWS

template <class T>
Tensor product(const Tensor& stencil, const Tensor& x, double* energy) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  const Tensor coefficients = torch::stable::contiguous(stencil), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width);
  const T* stencil_data = coefficients.const_data_ptr<T>();
  const T* x_data = x_planes.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  std::vector<double> row_energy(energy ? planes * height : 0, 0.0);
  // All planes of a row before the next row: the coefficients are then read from memory once.
  torch::stable::parallel_for(0, height, 8, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y)
      for (int64_t plane = 0; plane < planes; ++plane) {
        const Picture<T> picture{stencil_data, x_data + plane * height * width, height, width};
        T* row = out_data + (plane * height + y) * width;
        if (energy)
          row_energy[plane * height + y] = run_energy(picture, y, row);
        else
          run_product(picture, y, row);
      }
  });
  if (energy) *energy = ordered_sum(row_energy.data(), planes * height);
  return from_planes(out);
}

Tensor stencil_product(const Tensor& stencil, const Tensor& x) {
  check_stencil(Checks("stencil_product"), stencil, x);
  return x.scalar_type() == ScalarType::Float ? product<float>(stencil, x, nullptr)
                                              : product<double>(stencil, x, nullptr);
}

std::tuple<Tensor, Tensor> stencil_energy(const Tensor& stencil, const Tensor& x) {
  check_stencil(Checks("stencil_energy"), stencil, x);
  double energy = 0;
  const Tensor out = x.scalar_type() == ScalarType::Float ? product<float>(stencil, x, &energy)
                                                          : product<double>(stencil, x, &energy);
  Tensor value = scalar_like(x);
  torch::stable::fill_(value, energy);
  return {value, out};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("stencil_product", TORCH_BOX(&stencil_product));
  m.impl("stencil_energy", TORCH_BOX(&stencil_energy));
}

}  // namespace fastphoto
