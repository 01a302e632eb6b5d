// The matting Laplacian on the CPU from its stencil: y_i = sum over j != i of L_ij (x_j - x_i), and the
// energy -sum over pairs i < j of L_ij (x_i - x_j)^2.
//
// Bytes per pixel, for K planes of 4 bytes: 48 of coefficients for every three planes, 4 K read, 4 K written.
// The coefficients of pairs that end at a pixel lie at pixels up to two rows above, which the caches still
// hold. Flops: 72 K, and 36 K for the energy.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "layout.h"
#include "matting_arguments.h"
#include "matting_laplacian.h"
#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int64_t kStrip = 512;  // columns at a time, whose partial sums should stay in the cache; by eye

template <class T>
struct Picture {
  const T* stencil;  // (12, height, width)
  const T* x;        // planes of (height, width)
  int64_t height, width;
  const T* zeros;  // (width): the coefficients of pairs with rows beyond the image

  const T* coefficients(int dy, int dx, int64_t y, int64_t column) const {
    return stencil + (stencil_plane(dy, dx) * height + y) * width + column;
  }
};

// The product at a pixel within two columns of the left or right edge, where some of the pairs do not exist.
template <class T>
FASTPHOTO_INLINE T edge_pixel(const Picture<T>& picture, const T* x, int64_t y, int64_t column,
                              double& energy) {
  const T* middle = x + y * picture.width + column;
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

// Adds what the neighbours kDy rows below and above contribute, for pixels that have all five columns of
// them: sum[p][i] is the product so far, and energy[p][i] the energy of the pairs that begin at the pixel.
// kPlanes planes go together, so that coefficients are read once. There is a call for each kDy, because the
// addresses of all five rows would not fit the registers.
template <class T, int kPlanes, bool kEnergy, int kDy>
FASTPHOTO_INLINE void add_rows(const Picture<T>& picture, int64_t y, int64_t begin, int64_t count,
                               T sum[kPlanes][kStrip], T energy[kPlanes][kStrip], T* __restrict out) {
  constexpr int kFirst = kDy ? -2 : 1;
  const int64_t width = picture.width, plane = picture.height * width;
  // Pairs with rows beyond the image get coefficients of zero, so that the values of any row will do.
  const T* const middle = picture.x + y * width + begin;
  const T* const below = picture.x + std::min(y + kDy, picture.height - 1) * width + begin;
  const T* const above = picture.x + std::max<int64_t>(y - kDy, 0) * width + begin;
  const bool follows = y + kDy < picture.height, exists = y >= kDy;
  const T* const after = follows ? picture.coefficients(kDy, kFirst, y, begin) : picture.zeros;
  const T* const before = exists ? picture.coefficients(kDy, kFirst, y - kDy, begin - kFirst) : picture.zeros;
  // Steps to the coefficients of the next dx.
  const int64_t ahead = follows ? plane : 0, back = exists ? plane - 1 : 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    T total[kPlanes] = {}, squares[kPlanes] = {}, x[kPlanes];
    for (int p = 0; p < kPlanes; ++p) {
      x[p] = middle[p * plane + i];
      if (kDy > 0) {
        total[p] = sum[p][i];
        if (kEnergy) squares[p] = energy[p][i];
      }
    }
#pragma GCC unroll 5
    for (int dx = kFirst; dx <= 2; ++dx) {
      const T forward = after[(dx - kFirst) * ahead + i], backward = before[(dx - kFirst) * back + i];
      for (int p = 0; p < kPlanes; ++p) {
        const T next = below[p * plane + i + dx] - x[p], last = above[p * plane + i - dx] - x[p];
        const T product = forward * next;
        total[p] += product + backward * last;
        if (kEnergy) squares[p] -= product * next;
      }
    }
    for (int p = 0; p < kPlanes; ++p) {
      (kDy == 2 ? out[p * plane + i] : sum[p][i]) = total[p];
      if (kEnergy) energy[p][i] = squares[p];
    }
  }
}

// Computes row y of the product of kPlanes planes, and their energies.
template <class T, int kPlanes, bool kEnergy>
FASTPHOTO_INLINE void product_row(const Picture<T>& picture, int64_t y, T* out, double* energies) {
  const int64_t width = picture.width, plane = picture.height * width;
  T sum[kPlanes][kStrip], energy[kPlanes][kStrip];
  double totals[kPlanes] = {};
  for (int p = 0; p < kPlanes; ++p)
    for (int64_t column = 0; column < width; column = column == 1 && width > 4 ? width - 2 : column + 1)
      out[p * plane + y * width + column] = edge_pixel(picture, picture.x + p * plane, y, column, totals[p]);
  for (int64_t begin = 2; begin < width - 2; begin += kStrip) {
    const int64_t count = std::min(kStrip, width - 2 - begin);
    add_rows<T, kPlanes, kEnergy, 0>(picture, y, begin, count, sum, energy, out + y * width + begin);
    add_rows<T, kPlanes, kEnergy, 1>(picture, y, begin, count, sum, energy, out + y * width + begin);
    add_rows<T, kPlanes, kEnergy, 2>(picture, y, begin, count, sum, energy, out + y * width + begin);
    for (int p = 0; kEnergy && p < kPlanes; ++p) totals[p] += ordered_sum(energy[p], count);
  }
  if (kEnergy)
    for (int p = 0; p < kPlanes; ++p) energies[p * picture.height + y] = totals[p];
}

template <class T, int kPlanes, bool kEnergy>
void product_rows(const Picture<T>& picture, int64_t begin, int64_t end, T* out, double* energies) {
  vectorised([=]() FASTPHOTO_INLINED_LAMBDA {
    for (int64_t y = begin; y < end; ++y) product_row<T, kPlanes, kEnergy>(picture, y, out, energies);
  });
}

// L x, and the energy unless `energy` is null.
template <class T>
Tensor stencil_value(const Tensor& stencil, const Tensor& x, double* energy) {
  const int64_t height = x.size(0), width = x.size(1), planes = x.size(2);
  const Tensor coefficients = torch::stable::contiguous(stencil), x_planes = to_planes(x);
  const Tensor out = empty_planes(x, planes, height, width);
  const T* stencil_data = coefficients.const_data_ptr<T>();
  const T* x_data = x_planes.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  std::vector<double> row_energy(energy ? planes * height : 0, 0.0);
  const std::vector<T> zeros(width, T(0));
  parallel_for(0, height, 8, [&](int64_t begin, int64_t end) {
    // The last three planes may overlap the ones before: every plane of a call goes through the same machine
    // code, so that its bits do not depend on the planes beside it.
    const bool three = planes >= 3;
    for (int64_t first = 0; first < planes; first += three ? 3 : 1) {
      const int64_t plane = three ? std::min(first, planes - 3) : first;
      const Picture<T> picture{stencil_data, x_data + plane * height * width, height, width, zeros.data()};
      T* rows = out_data + plane * height * width;
      double* energies = row_energy.data() + plane * height;
      if (energy)
        three ? product_rows<T, 3, true>(picture, begin, end, rows, energies)
              : product_rows<T, 1, true>(picture, begin, end, rows, energies);
      else
        three ? product_rows<T, 3, false>(picture, begin, end, rows, nullptr)
              : product_rows<T, 1, false>(picture, begin, end, rows, nullptr);
    }
  });
  if (energy) *energy = ordered_sum(row_energy.data(), planes * height);
  return from_planes(out);
}

Tensor stencil_product(const Tensor& stencil, const Tensor& x) {
  check_stencil(Checks("stencil_product"), stencil, x);
  return x.scalar_type() == ScalarType::Float ? stencil_value<float>(stencil, x, nullptr)
                                              : stencil_value<double>(stencil, x, nullptr);
}

std::tuple<Tensor, Tensor> stencil_energy(const Tensor& stencil, const Tensor& x) {
  check_stencil(Checks("stencil_energy"), stencil, x);
  double energy = 0;
  const Tensor out = x.scalar_type() == ScalarType::Float ? stencil_value<float>(stencil, x, &energy)
                                                          : stencil_value<double>(stencil, x, &energy);
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
