// Recolourings region by region on the CPU, and their gradient, see region_recolouring.h.
//
// For each pixel and region, where the matte is not zero, of 4-byte numbers: 20 bytes of planes are read; the
// curves take 32 flops on four corners of a table of the row, the gain and the chroma some 50. The table of a
// row blends two rows of the grid. The gradient reads 12 bytes more and adds to a table of the same form;
// tables are added up row by row in bands of fixed length, and the bands in their order, in double.
#include "region_recolouring.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "fast_exp.h"
#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int64_t kBandRows = 16;  // rows whose gradients are added up together; by eye
constexpr int kEntry = 4;          // numbers of a table's entry: dL*, da*, db*, and the logarithm of the gain
constexpr int kMatrix = 6;

// The two entries that a position lies between, and how near it is to the second.
template <class T>
struct Place {
  int64_t low;
  T fraction;
};

template <class T>
Place<T> place_in_grid(int64_t pixel, int64_t pixels, int64_t cells) {
  const double position = pixels > 1 ? static_cast<double>(pixel) * static_cast<double>(cells - 1) /
                                           static_cast<double>(pixels - 1)
                                     : 0.0;
  const int64_t low = std::min(static_cast<int64_t>(position), cells - 2);
  return {low, static_cast<T>(position - static_cast<double>(low))};
}

// Everything a row needs, in contiguous memory.
template <class T>
struct Planes {
  const T *tones, *broad, *contrast, *chroma, *mattes, *centre, *most_gain;
  const T *curves, *gains, *matrices;
  int64_t regions, height, width, knots, rows, columns;
  T share, most_contrast;
  std::vector<Place<T>> across;  // of each column of pixels

  int64_t plane() const { return height * width; }
  int64_t cells() const { return rows * columns; }
  int64_t table() const {
    return (knots + 2) * columns * kEntry;
  }  // a knot of zeros before the first and after the last
};

// The table of one row of pixels, entry (knot + 1, column of the grid).
template <class T>
void fill_table(const Planes<T>& p, int64_t region, const Place<T>& down, T* table) {
  std::fill_n(table, p.table(), T(0));
  const T low = 1 - down.fraction, high = down.fraction;
  for (int channel = 0; channel < 3; ++channel)
    for (int64_t knot = 0; knot < p.knots; ++knot) {
      const T* upper =
          p.curves + ((region * 3 + channel) * p.knots + knot) * p.cells() + down.low * p.columns;
      for (int64_t g = 0; g < p.columns; ++g)
        table[((knot + 1) * p.columns + g) * kEntry + channel] = low * upper[g] + high * upper[p.columns + g];
    }
}

template <class T>
void fill_gains(const Planes<T>& p, int64_t region, const Place<T>& down, T* gains) {
  const T* upper = p.gains + region * p.cells() + down.low * p.columns;
  for (int64_t g = 0; g < p.columns; ++g)
    gains[g] = (1 - down.fraction) * upper[g] + down.fraction * upper[p.columns + g];
}

// The four corners of a pixel in the table of its row: the first entry's number, and the corners' weights.
template <class T>
struct Corners {
  int64_t entry;
  T weights[4];  // (knot, column), (knot, column + 1), (knot + 1, column), (knot + 1, column + 1)
};

template <class T>
FASTPHOTO_INLINE Corners<T> corners_of(const Planes<T>& p, T tone, const Place<T>& across) {
  const T bounded = std::min(std::max(tone, T(-1)), static_cast<T>(p.knots));
  const int64_t knot = std::min(static_cast<int64_t>(bounded + 1), p.knots);
  const T nearness = (bounded + 1) - static_cast<T>(knot);
  const T right = across.fraction, left = 1 - right, above = nearness, below = 1 - above;
  return {knot * p.columns + across.low, {below * left, below * right, above * left, above * right}};
}

// A gain, and its derivative in the number that it comes from. Equal bounds share the derivative, as in
// torch.minimum.
template <class T>
struct Gain {
  T value, slope;
};

template <class T>
FASTPHOTO_INLINE Gain<T> gain_of(T logarithm, T most_contrast, T most) {
  const T u = logarithm / most_contrast, magnitude = u < 0 ? -u : u;
  const T decay = fast_exp(-2 * magnitude);
  const T tangent = (1 - decay) / (1 + decay), bounded = most_contrast * (u < 0 ? -tangent : tangent);
  const T least = bounded > most ? most : bounded;
  const T rise = 1 - tangent * tangent, passed = bounded < most ? T(1) : bounded == most ? T(0.5) : T(0);
  const T value = fast_exp(least);
  return {value, value * rise * passed};
}

// The rows of one region that lie at row y, in planes.
template <class T>
struct RowOf {
  const T *broad, *contrast, *a, *b, *matte, *centre, *matrix;
};

template <class T>
RowOf<T> row_of(const Planes<T>& p, int64_t region, int64_t y) {
  const int64_t at = region * p.plane() + y * p.width;
  const T* chroma = p.chroma + region * 2 * p.plane() + y * p.width;
  return {p.broad + at,
          p.contrast + at,
          chroma,
          chroma + p.plane(),
          p.mattes + at,
          p.centre + region * 3,
          p.matrices + region * kMatrix};
}

// Adds a region's new colours to those of a row; `change` holds dL*, da* and db*.
template <class T>
FASTPHOTO_INLINE void blend_row(const Planes<T>& p, const RowOf<T>& row, T most,
                                const T* __restrict logarithms, const T* __restrict change,
                                T* __restrict lightness, T* __restrict a, T* __restrict b) {
  const T share = p.share, most_contrast = p.most_contrast;
  const T c0 = row.centre[0], c1 = row.centre[1], c2 = row.centre[2];
  const T *m = row.matrix, m0 = m[0], m1 = m[1], m2 = m[2], m3 = m[3], m4 = m[4], m5 = m[5];
  const T* __restrict broad = row.broad, * __restrict contrast = row.contrast, * __restrict matte = row.matte;
  const T* __restrict old_a = row.a, * __restrict old_b = row.b;
  const int64_t width = p.width;
  for (int64_t x = 0; x < width; ++x) {
    const T gain = gain_of(logarithms[x], most_contrast, most).value;
    const T q0 = broad[x] * share - c0, q1 = old_a[x] - c1, q2 = old_b[x] - c2;
    const T new_l = broad[x] + change[x] + contrast[x] * gain;
    const T new_a = old_a[x] + change[width + x] + (m0 * q0 + m1 * q1 + m2 * q2);
    const T new_b = old_b[x] + change[2 * width + x] + (m3 * q0 + m4 * q1 + m5 * q2);
    lightness[x] += matte[x] * new_l;
    a[x] += matte[x] * new_a;
    b[x] += matte[x] * new_b;
  }
}

template <class T>
FASTPHOTO_INLINE void recolour_row(const Planes<T>& p, int64_t y, std::vector<T>& memory, T* lightness, T* a,
                                   T* b) {
  T *table = memory.data(), *gains = table + p.table(), *logarithms = gains + p.columns,
    *change = logarithms + p.width;
  const T* tones = p.tones + y * p.width;
  const Place<T> down = place_in_grid<T>(y, p.height, p.rows);
  for (int64_t region = 0; region < p.regions; ++region) {
    const RowOf<T> row = row_of(p, region, y);
    if (std::all_of(row.matte, row.matte + p.width, [](T m) { return m == 0; })) continue;
    fill_table(p, region, down, table);
    fill_gains(p, region, down, gains);
    for (int64_t x = 0; x < p.width; ++x) {
      const Place<T>& across = p.across[x];
      logarithms[x] = gains[across.low] + across.fraction * (gains[across.low + 1] - gains[across.low]);
      if (row.matte[x] == 0) {
        for (int m = 0; m < 3; ++m) change[m * p.width + x] = 0;
        continue;
      }
      const Corners<T> corners = corners_of(p, tones[x], across);
      const T *first = table + corners.entry * kEntry, *second = first + p.columns * kEntry;
      for (int m = 0; m < 3; ++m)
        change[m * p.width + x] = (corners.weights[0] * first[m] + corners.weights[1] * first[kEntry + m]) +
                                  (corners.weights[2] * second[m] + corners.weights[3] * second[kEntry + m]);
    }
    blend_row(p, row, p.most_gain[region], logarithms, change, lightness, a, b);
  }
}

// Adds the gradient of one row to that of a region's curves, gains and matrices, in double.
template <class T>
FASTPHOTO_INLINE void row_gradient(const Planes<T>& p, int64_t region, int64_t y, const T* grad,
                                   std::vector<T>& memory, double* curves, double* gains_out,
                                   double* matrices) {
  T *table = memory.data(), *gains = table + p.table(), *gain_sums = gains + p.columns,
    *passed = gain_sums + p.columns;
  const RowOf<T> row = row_of(p, region, y);
  if (std::all_of(row.matte, row.matte + p.width, [](T m) { return m == 0; })) return;
  const T *tones = p.tones + y * p.width, *gl = grad + y * p.width, *ga = gl + p.plane(),
          *gb = ga + p.plane();
  const Place<T> down = place_in_grid<T>(y, p.height, p.rows);
  fill_gains(p, region, down, gains);
  std::fill_n(table, p.table(), T(0));
  std::fill_n(gain_sums, p.columns, T(0));
  const T most = p.most_gain[region], most_contrast = p.most_contrast;
  for (int64_t x = 0; x < p.width; ++x) {
    const Place<T>& across = p.across[x];
    passed[x] = gains[across.low] + across.fraction * (gains[across.low + 1] - gains[across.low]);
  }
  for (int64_t x = 0; x < p.width; ++x)
    passed[x] = row.matte[x] * gl[x] * row.contrast[x] * gain_of(passed[x], most_contrast, most).slope;
  T lanes[kMatrix] = {};
  for (int64_t x = 0; x < p.width; ++x) {
    const T matte = row.matte[x];
    if (matte == 0) continue;
    const T h[kEntry] = {matte * gl[x], matte * ga[x], matte * gb[x], 0};
    const Place<T>& across = p.across[x];
    const Corners<T> corners = corners_of(p, tones[x], across);
    T *first = table + corners.entry * kEntry, *second = first + p.columns * kEntry;
    for (int m = 0; m < kEntry; ++m) first[m] += corners.weights[0] * h[m];
    for (int m = 0; m < kEntry; ++m) first[kEntry + m] += corners.weights[1] * h[m];
    for (int m = 0; m < kEntry; ++m) second[m] += corners.weights[2] * h[m];
    for (int m = 0; m < kEntry; ++m) second[kEntry + m] += corners.weights[3] * h[m];
    gain_sums[across.low] += (1 - across.fraction) * passed[x];
    gain_sums[across.low + 1] += across.fraction * passed[x];
    const T q[3] = {row.broad[x] * p.share - row.centre[0], row.a[x] - row.centre[1],
                    row.b[x] - row.centre[2]};
    for (int j = 0; j < 3; ++j) {
      lanes[j] += h[1] * q[j];
      lanes[3 + j] += h[2] * q[j];
    }
  }
  const double low = 1 - static_cast<double>(down.fraction), high = down.fraction;
  for (int channel = 0; channel < 3; ++channel)
    for (int64_t knot = 0; knot < p.knots; ++knot) {
      double* upper = curves + (channel * p.knots + knot) * p.cells() + down.low * p.columns;
      for (int64_t g = 0; g < p.columns; ++g) {
        const double sum = table[((knot + 1) * p.columns + g) * kEntry + channel];
        upper[g] += low * sum;
        upper[p.columns + g] += high * sum;
      }
    }
  double* upper = gains_out + down.low * p.columns;
  for (int64_t g = 0; g < p.columns; ++g) {
    upper[g] += low * gain_sums[g];
    upper[p.columns + g] += high * gain_sums[g];
  }
  for (int j = 0; j < kMatrix; ++j) matrices[j] += lanes[j];
}

// The tensors behind Planes, in contiguous memory.
template <class T>
class Contiguous {
 public:
  Contiguous(const RegionPlanes& p, const RegionCurves& c, double share, double most_contrast)
      : tensors_{torch::stable::contiguous(p.tones),     torch::stable::contiguous(p.broad),
                 torch::stable::contiguous(p.contrast),  torch::stable::contiguous(p.chroma),
                 torch::stable::contiguous(p.mattes),    torch::stable::contiguous(p.centre),
                 torch::stable::contiguous(p.most_gain), torch::stable::contiguous(c.curves),
                 torch::stable::contiguous(c.gains),     torch::stable::contiguous(c.matrices)},
        planes_{data(0),
                data(1),
                data(2),
                data(3),
                data(4),
                data(5),
                data(6),
                data(7),
                data(8),
                data(9),
                c.curves.size(0),
                p.tones.size(0),
                p.tones.size(1),
                c.curves.size(2),
                c.curves.size(3),
                c.curves.size(4),
                static_cast<T>(share),
                static_cast<T>(most_contrast),
                {}} {
    for (int64_t x = 0; x < planes_.width; ++x)
      planes_.across.push_back(place_in_grid<T>(x, planes_.width, planes_.columns));
  }

  const Planes<T>& planes() const { return planes_; }

 private:
  const T* data(int number) const { return tensors_[number].template const_data_ptr<T>(); }

  std::array<Tensor, 10> tensors_;
  Planes<T> planes_;
};

template <class T>
Tensor recoloured_value(const RegionPlanes& planes, const RegionCurves& curves, const Tensor& any_rest,
                        double share, double most_contrast) {
  const Contiguous<T> contiguous(planes, curves, share, most_contrast);
  const Planes<T>& p = contiguous.planes();
  const Tensor rest = torch::stable::contiguous(any_rest);
  const Tensor out = torch::stable::new_empty(rest, {3, p.height, p.width});
  const T* rest_data = rest.const_data_ptr<T>();
  T* data = out.mutable_data_ptr<T>();
  parallel_for(0, p.height, 4, [&](int64_t begin, int64_t end) {
    std::vector<T> memory(p.table() + p.columns + 4 * p.width);
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t y = begin; y < end; ++y) {
        T* rows[3];
        for (int m = 0; m < 3; ++m) {
          rows[m] = data + m * p.plane() + y * p.width;
          std::copy_n(rest_data + m * p.plane() + y * p.width, p.width, rows[m]);
        }
        recolour_row(p, y, memory, rows[0], rows[1], rows[2]);
      }
    });
  });
  return out;
}

template <class T>
void copy_sums(const std::vector<double>& sums, int64_t begin, int64_t stride, int64_t regions, int64_t count,
               const Tensor& out) {
  T* data = out.mutable_data_ptr<T>();
  for (int64_t r = 0; r < regions; ++r)
    for (int64_t i = 0; i < count; ++i) data[r * count + i] = static_cast<T>(sums[r * stride + begin + i]);
}

template <class T>
std::tuple<Tensor, Tensor, Tensor> recoloured_gradient(const Tensor& any_grad, const RegionPlanes& planes,
                                                       const RegionCurves& curves, double share,
                                                       double most_contrast) {
  const Contiguous<T> contiguous(planes, curves, share, most_contrast);
  const Planes<T>& p = contiguous.planes();
  const Tensor grad = torch::stable::contiguous(any_grad);
  const T* grad_data = grad.const_data_ptr<T>();
  const int64_t bands = (p.height + kBandRows - 1) / kBandRows;
  const int64_t curve_count = 3 * p.knots * p.cells(), each = curve_count + p.cells() + kMatrix,
                count = p.regions * each;
  std::vector<double> sums(bands * count);
  parallel_for(0, bands, 1, [&](int64_t first, int64_t last) {
    std::vector<T> memory(p.table() + 2 * p.columns + p.width);
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t band = first; band < last; ++band)
        for (int64_t y = band * kBandRows; y < std::min(p.height, (band + 1) * kBandRows); ++y)
          for (int64_t r = 0; r < p.regions; ++r) {
            double* out = sums.data() + band * count + r * each;
            row_gradient(p, r, y, grad_data, memory, out, out + curve_count, out + curve_count + p.cells());
          }
    });
  });
  for (int64_t band = 1; band < bands; ++band)
    for (int64_t i = 0; i < count; ++i) sums[i] += sums[band * count + i];
  const Tensor grad_curves = torch::stable::new_empty(grad, {p.regions, 3, p.knots, p.rows, p.columns});
  const Tensor grad_gains = torch::stable::new_empty(grad, {p.regions, p.rows, p.columns});
  const Tensor grad_matrices = torch::stable::new_empty(grad, {p.regions, 2, 3});
  copy_sums<T>(sums, 0, each, p.regions, curve_count, grad_curves);
  copy_sums<T>(sums, curve_count, each, p.regions, p.cells(), grad_gains);
  copy_sums<T>(sums, curve_count + p.cells(), each, p.regions, kMatrix, grad_matrices);
  return {grad_curves, grad_gains, grad_matrices};
}

Tensor region_recolouring(const Tensor& tones, const Tensor& broad, const Tensor& contrast,
                          const Tensor& chroma, const Tensor& mattes, const Tensor& centre,
                          const Tensor& most_gain, const Tensor& curves, const Tensor& gains,
                          const Tensor& matrices, const Tensor& rest, double share, double most_contrast) {
  const RegionPlanes planes{tones, broad, contrast, chroma, mattes, centre, most_gain};
  const RegionCurves unknowns{curves, gains, matrices};
  check_recolouring(Checks("region_recolouring"), planes, unknowns, "rest", rest, most_contrast);
  return tones.scalar_type() == ScalarType::Float
             ? recoloured_value<float>(planes, unknowns, rest, share, most_contrast)
             : recoloured_value<double>(planes, unknowns, rest, share, most_contrast);
}

std::tuple<Tensor, Tensor, Tensor> region_recolouring_backward(
    const Tensor& grad, const Tensor& tones, const Tensor& broad, const Tensor& contrast,
    const Tensor& chroma, const Tensor& mattes, const Tensor& centre, const Tensor& most_gain,
    const Tensor& curves, const Tensor& gains, const Tensor& matrices, double share, double most_contrast) {
  const RegionPlanes planes{tones, broad, contrast, chroma, mattes, centre, most_gain};
  const RegionCurves unknowns{curves, gains, matrices};
  check_recolouring(Checks("region_recolouring_backward"), planes, unknowns, "grad", grad, most_contrast);
  return tones.scalar_type() == ScalarType::Float
             ? recoloured_gradient<float>(grad, planes, unknowns, share, most_contrast)
             : recoloured_gradient<double>(grad, planes, unknowns, share, most_contrast);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("region_recolouring", TORCH_BOX(&region_recolouring));
  m.impl("region_recolouring_backward", TORCH_BOX(&region_recolouring_backward));
}

}  // namespace fastphoto
