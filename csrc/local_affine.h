// Arithmetic of local affine colour maps, shared by host and device: the fit of one window, its gradient, and
// the sampling of maps at another resolution.
//
// The map of a pixel minimises, over its cropped window, sum |A c + b - r|^2 + epsilon |A|^2.
#pragma once

#include <torch/headeronly/macros/Macros.h>

#include <cstdint>

namespace fastphoto {

// The sums over a window, in this order: c (3); the lower triangle of c c^T (00 10 11 20 21 22); r (3);
// c_a r_b at 12 + 3 b + a.
constexpr int kContentMoments = 9;
constexpr int kFitMoments = 21;

template <class T>
C10_HOST_DEVICE inline void content_moments(const T c[3], double moments[kContentMoments]) {
  int n = 3;
  for (int a = 0; a < 3; ++a) {
    moments[a] = c[a];
    for (int b = 0; b <= a; ++b) moments[n++] = static_cast<double>(c[a]) * c[b];
  }
}

// The centred normal matrix sum (c - mean)(c - mean)^T + epsilon Id = R diag(d) R^T, R unit lower triangular.
struct AffineFactor {
  double mean[3];
  double r10, r20, r21;
  double inverse_d0, inverse_d1, inverse_d2;
};

C10_HOST_DEVICE C10_ALWAYS_INLINE AffineFactor factor_affine(const double moments[kContentMoments],
                                                             double inverse_count, double epsilon) {
  AffineFactor f;
  for (int a = 0; a < 3; ++a) f.mean[a] = moments[a] * inverse_count;
  const double* s = moments + 3;
  const double s00 = s[0] - f.mean[0] * moments[0], s10 = s[1] - f.mean[1] * moments[0],
               s11 = s[2] - f.mean[1] * moments[1], s20 = s[3] - f.mean[2] * moments[0],
               s21 = s[4] - f.mean[2] * moments[1], s22 = s[5] - f.mean[2] * moments[2];
  // No pivot is below epsilon in exact arithmetic. Rounding of the differences above could put one there.
  const double d0 = s00 + epsilon;
  f.inverse_d0 = 1.0 / (d0 > epsilon ? d0 : epsilon);
  f.r10 = s10 * f.inverse_d0;
  f.r20 = s20 * f.inverse_d0;
  const double d1 = s11 + epsilon - f.r10 * s10;
  f.inverse_d1 = 1.0 / (d1 > epsilon ? d1 : epsilon);
  const double c21 = s21 - f.r20 * s10;
  f.r21 = c21 * f.inverse_d1;
  const double d2 = s22 + epsilon - f.r20 * s20 - f.r21 * c21;
  f.inverse_d2 = 1.0 / (d2 > epsilon ? d2 : epsilon);
  return f;
}

C10_HOST_DEVICE C10_ALWAYS_INLINE void solve_affine(const AffineFactor& f, double v0, double v1, double v2,
                                                    double out[3]) {
  const double w1 = v1 - f.r10 * v0;
  const double w2 = v2 - f.r20 * v0 - f.r21 * w1;
  out[2] = w2 * f.inverse_d2;
  out[1] = w1 * f.inverse_d1 - f.r21 * out[2];
  out[0] = v0 * f.inverse_d0 - f.r10 * out[1] - f.r20 * out[2];
}

// One channel's row (A, b) of a window's map, from the sums of r and of c_a r.
C10_HOST_DEVICE C10_ALWAYS_INLINE void fit_channel(const AffineFactor& f, double sum, double cross0,
                                                   double cross1, double cross2, double inverse_count,
                                                   double row[4]) {
  solve_affine(f, cross0 - f.mean[0] * sum, cross1 - f.mean[1] * sum, cross2 - f.mean[2] * sum, row);
  row[3] = sum * inverse_count - (row[0] * f.mean[0] + row[1] * f.mean[1] + row[2] * f.mean[2]);
}

// The 3 x 4 map of a window, (A, b), from its kFitMoments sums.
C10_HOST_DEVICE C10_ALWAYS_INLINE void fit_window(const double* moments, double inverse_count, double epsilon,
                                                  double map[12]) {
  const AffineFactor f = factor_affine(moments, inverse_count, epsilon);
  for (int b = 0; b < 3; ++b) {
    const double* cross = moments + 12 + 3 * b;
    fit_channel(f, moments[kContentMoments + b], cross[0], cross[1], cross[2], inverse_count, map + 4 * b);
  }
}

// One window adds c_k . v_b + u_b to the gradient of r_k in channel b: v_and_u holds (v_b, u_b) for each b.
C10_HOST_DEVICE C10_ALWAYS_INLINE void fit_window_gradient(const double* moments, double inverse_count,
                                                           double epsilon, const double grad[12],
                                                           double v_and_u[12]) {
  const AffineFactor f = factor_affine(moments, inverse_count, epsilon);
  for (int b = 0; b < 3; ++b) {
    const double* g = grad + 4 * b;
    double* out = v_and_u + 4 * b;
    solve_affine(f, g[0] - g[3] * f.mean[0], g[1] - g[3] * f.mean[1], g[2] - g[3] * f.mean[2], out);
    out[3] = g[3] * inverse_count - (out[0] * f.mean[0] + out[1] * f.mean[1] + out[2] * f.mean[2]);
  }
}

// The two maps that a position lies between, along one dimension, and how near it is to the second. Centres
// of pixels match, and positions beyond the edge are clamped, as in bilinear interpolation.
struct Between {
  int64_t low, high;
  double fraction;
};

C10_HOST_DEVICE inline Between between(int64_t position, int64_t size, int64_t map_size) {
  const double centred = (static_cast<double>(position) + 0.5) * static_cast<double>(map_size) / size - 0.5;
  const double source = centred > 0 ? centred : 0;
  const int64_t last = map_size - 1, whole = static_cast<int64_t>(source), low = whole < last ? whole : last;
  const double fraction = source - static_cast<double>(low);
  return {low, low < last ? low + 1 : last, fraction < 1 ? fraction : 1.0};
}

}  // namespace fastphoto
