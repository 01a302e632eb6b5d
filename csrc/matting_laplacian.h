// Arithmetic of the matting Laplacian (Levin et al. 2008), shared by host and device: the factor of one 3 x 3
// window, and the numbering of the stencil's planes.
//
// L_ij = sum over the windows k that lie fully inside the image of
//        delta_ij - (1 + (I_i - mu_k)^T (Sigma_k + epsilon / 9 Id)^-1 (I_j - mu_k)) / 9.
#pragma once

#include <torch/headeronly/macros/Macros.h>

#include <cstdint>

namespace fastphoto {

// Sigma + epsilon / 9 Id = R diag(d) R^T with R unit lower triangular. On a grey edge, where the condition
// number passes 1e7, whitening with R loses only half the digits that multiplying by the inverse would.
struct WindowFactor {
  double r10, r20, r21;
  double inverse_d0, inverse_d1, inverse_d2;
};

// The factor of a window, from the lower triangle of the sum over its pixels of (I - mu)(I - mu)^T.
C10_HOST_DEVICE inline WindowFactor factor_window(double s00, double s10, double s11, double s20, double s21,
                                                  double s22, double epsilon) {
  constexpr double ninth = 1.0 / 9.0;
  // No pivot is below epsilon / 9 in exact arithmetic. Rounding could make one zero.
  const double least = epsilon * ninth;
  const double d0 = s00 * ninth + least;
  WindowFactor f;
  f.inverse_d0 = 1.0 / d0;
  f.r10 = s10 * ninth * f.inverse_d0;
  f.r20 = s20 * ninth * f.inverse_d0;
  const double d1 = s11 * ninth + least - f.r10 * s10 * ninth;
  f.inverse_d1 = 1.0 / (d1 > least ? d1 : least);
  const double c21 = s21 * ninth - f.r20 * s10 * ninth;
  f.r21 = c21 * f.inverse_d1;
  const double d2 = s22 * ninth + least - f.r20 * s20 * ninth - f.r21 * c21;
  f.inverse_d2 = 1.0 / (d2 > least ? d2 : least);
  return f;
}

// |a|^2 of the window's affine model a = (Sigma + epsilon / 9 Id)^-1 c, from R^-1 c = (c0, c1, c2).
C10_HOST_DEVICE inline double model_norm(const WindowFactor& f, double c0, double c1, double c2) {
  const double a2 = c2 * f.inverse_d2;
  const double a1 = c1 * f.inverse_d1 - f.r21 * a2;
  const double a0 = c0 * f.inverse_d0 - f.r10 * a1 - f.r20 * a2;
  return a0 * a0 + a1 * a1 + a2 * a2;
}

// The stencil stores one coefficient for each pair of pixels at most two rows and columns apart, at the pixel
// that comes first in reading order.
constexpr int kStencilPlanes = 12;

// The plane of the pair (y, x), (y + dy, x + dx), for dy = 0 and dx in {1, 2}, or dy in {1, 2} and dx in
// -2..2; STENCIL_OFFSETS in fastphoto/ops/matting.py lists them in order.
C10_HOST_DEVICE constexpr int stencil_plane(int dy, int dx) { return dy == 0 ? dx - 1 : 5 * dy - 1 + dx; }

}  // namespace fastphoto
