// The arithmetic of sRGB and CIELAB under D65, their derivatives, and the operators' argument checks.
//
// sRGB (IEC 61966-2-1) c -> linear light l(c) -> x = A l, XYZ over the white point -> f(x) -> L*a*b*, with
//
//     l(c) = c / 12.92 up to 0.04045, else ((c + 0.055) / 1.055)^2.4,
//     f(x) = x^(1/3) above (6/29)^3, else (24389/27 x + 16) / 116,
//     L* = 116 f_y - 16, a* = 500 (f_x - f_y), b* = 200 (f_y - f_z).
//
// On the way back, a colour that sRGB lacks becomes paler: with its grey g = x_y and u = A^-1 x - g, linear
// light is g + t u with the largest t in [0, 1] that fits. All arithmetic is in double, also of float
// pictures, so that their results are rounded once.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "checks.h"
#include "vector.h"

namespace fastphoto {

// Rows of A, linear sRGB to XYZ over the white point (primaries to seven digits), and of its inverse.
struct ColourMatrices {
  double to_xyz[9], from_xyz[9];
};

constexpr ColourMatrices colour_matrices() {
  constexpr double primaries[9] = {0.4124564, 0.3575761, 0.1804375, 0.2126729, 0.7151522,
                                   0.0721750, 0.0193339, 0.1191920, 0.9503041};
  constexpr double white[3] = {0.95047, 1.0, 1.08883};
  ColourMatrices m{};
  for (int i = 0; i < 9; ++i) m.to_xyz[i] = primaries[i] / white[i / 3];
  const double* a = m.to_xyz;
  const double determinant = a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) +
                             a[2] * (a[3] * a[7] - a[4] * a[6]);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      const int r = (j + 1) % 3, s = (j + 2) % 3, p = (i + 1) % 3, q = (i + 2) % 3;
      m.from_xyz[3 * i + j] = (a[3 * r + p] * a[3 * s + q] - a[3 * r + q] * a[3 * s + p]) / determinant;
    }
  return m;
}

constexpr ColourMatrices kMatrices = colour_matrices();

struct Colour {
  double x, y, z;
};

FASTPHOTO_INLINE Colour product(const double* m, const Colour& v) {
  return {m[0] * v.x + m[1] * v.y + m[2] * v.z, m[3] * v.x + m[4] * v.y + m[5] * v.z,
          m[6] * v.x + m[7] * v.y + m[8] * v.z};
}

FASTPHOTO_INLINE Colour transposed_product(const double* m, const Colour& v) {
  return {m[0] * v.x + m[3] * v.y + m[6] * v.z, m[1] * v.x + m[4] * v.y + m[7] * v.z,
          m[2] * v.x + m[5] * v.y + m[8] * v.z};
}

FASTPHOTO_INLINE double power3(double y) { return y * y * y; }
FASTPHOTO_INLINE double power5(double y) { return y * y * (y * y) * y; }
FASTPHOTO_INLINE double power7(double y) { return y * y * y * (y * y * y) * y; }
FASTPHOTO_INLINE double power12(double y) {
  const double six = y * y * y * (y * y * y);
  return six * six;
}

// x^(-1/n) of a normal positive number by Newton's method, y (n + 1 - x y^n) / n, which needs no division.
// The bits of a float are nearly its logarithm, so that C - bits / n is a guess to some 4 %. An error e
// becomes (n + 1) / 2 e^2, and after kSteps steps it is below that of rounding.
template <int n, int kSteps, class Power>
FASTPHOTO_INLINE double inverse_root(double x, const Power& power) {
  constexpr float guess = (1.0f + 1.0f / n) * (127.0f - 0.0450466f) * 8388608.0f;
  const float single = static_cast<float>(x);
  int32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  bits = static_cast<int32_t>(guess - static_cast<float>(bits) * (1.0f / n));
  float start;
  std::memcpy(&start, &bits, sizeof(start));
  double y = start;
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step) y = y * ((n + 1) * (1.0 / n) - x * power(y) * (1.0 / n));
  return y;
}

// The derivative of clamping to [0, 1]. Black and white that rounding has moved outside count as inside: all
// the pixels of a black region would lose their derivative otherwise.
FASTPHOTO_INLINE double bounded_derivative(double value, double derivative) {
  const double above = value < -1e-6 ? 0.0 : derivative;
  return value > 1 + 1e-6 ? 0.0 : above;
}

// A number and the derivative that led to it.
struct Curved {
  double value, slope;
};

// kMore is 0 for results in float and 1 for double: the number of further steps of Newton's method.
template <int kMore>
FASTPHOTO_INLINE Curved to_linear(double c) {
  const double bounded = c < 0.04045 ? 0.04045 : c;  // keeps a NaN
  const double u = (bounded + 0.055) * (1 / 1.055);
  const double y = inverse_root<5, 4 + kMore>(u, power5);
  const double slope = u * u * power3(y);  // u^1.4
  const double straight = c * (1 / 12.92), curved = slope * u;
  return {c <= 0.04045 ? straight : curved, c <= 0.04045 ? 1 / 12.92 : slope * (2.4 / 1.055)};
}

constexpr double kLinearBelow = 216.0 / 24389;  // CIE 15: (6/29)^3

template <int kMore>
FASTPHOTO_INLINE Curved to_perceived(double x) {
  const double bounded = x < kLinearBelow ? kLinearBelow : x;
  const double y = inverse_root<3, 3 + kMore>(bounded, power3), square = y * y;
  const double straight = (x * (24389.0 / 27) + 16) * (1.0 / 116), root = bounded * square;
  return {x > kLinearBelow ? root : straight, x > kLinearBelow ? square * (1.0 / 3) : 24389.0 / 27 / 116};
}

FASTPHOTO_INLINE Curved from_perceived(double f) {
  const double straight = (f * 116 - 16) * (27.0 / 24389), cube = f * f * f;
  return {f > 6.0 / 29 ? cube : straight, f > 6.0 / 29 ? 3 * f * f : 116 * 27.0 / 24389};
}

template <int kMore>
FASTPHOTO_INLINE Curved from_linear(double l) {
  const double bounded = l < 0.0031308 ? 0.0031308 : l;
  const double slope = power7(inverse_root<12, 4 + kMore>(bounded, power12));  // bounded^(-7/12)
  const double curved = 1.055 * (bounded * slope) - 0.055, straight = l * 12.92;
  const double value = l <= 0.0031308 ? straight : curved,
               rise = l <= 0.0031308 ? 12.92 : slope * (1.055 / 2.4);
  const double above = value < 0 ? 0.0 : value, inside = above > 1 ? 1.0 : above;
  return {inside, bounded_derivative(value, rise)};
}

template <int kMore>
FASTPHOTO_INLINE Colour lab_of_srgb(const Colour& c) {
  const Colour x = product(kMatrices.to_xyz, {to_linear<kMore>(c.x).value, to_linear<kMore>(c.y).value,
                                              to_linear<kMore>(c.z).value});
  const double fx = to_perceived<kMore>(x.x).value, fy = to_perceived<kMore>(x.y).value,
               fz = to_perceived<kMore>(x.z).value;
  return {116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)};
}

// The gradient in c, from that in L*a*b*.
template <int kMore>
FASTPHOTO_INLINE Colour lab_of_srgb_gradient(const Colour& c, const Colour& grad) {
  const Curved lx = to_linear<kMore>(c.x), ly = to_linear<kMore>(c.y), lz = to_linear<kMore>(c.z);
  const Colour x = product(kMatrices.to_xyz, {lx.value, ly.value, lz.value});
  const double a = 500 * grad.y, b = 200 * grad.z;
  const Colour light =
      transposed_product(kMatrices.to_xyz, {a * to_perceived<kMore>(x.x).slope,
                                            (116 * grad.x - a + b) * to_perceived<kMore>(x.y).slope,
                                            -b * to_perceived<kMore>(x.z).slope});
  return {light.x * lx.slope, light.y * ly.slope, light.z * lz.slope};
}

// How far a channel can go from the grey before it leaves [0, 1], and the derivatives of that.
struct Room {
  double value, by_grey, by_chroma;
};

FASTPHOTO_INLINE Room room_of(double grey, double chroma) {
  const bool up = chroma > 0;
  const double magnitude = up ? chroma : -chroma, bounded = magnitude < 1e-6 ? 1e-6 : magnitude;
  const double inverse = 1 / bounded, sign = up ? -1.0 : 1.0;
  const double value = (up ? 1 - grey : grey) * inverse;
  return {value, sign * inverse, magnitude < 1e-6 ? 0.0 : sign * value * inverse};
}

// A colour this near the border of sRGB has the derivative of one beyond it. Colours that were made paler
// before lie on the border, and rounding would decide between the two sides.
constexpr double kAtBorder = 1e-5;

// A colour in XYZ made pale enough for sRGB.
struct Paler {
  double grey, share;
  Colour chroma;
  Room x, y, z;
  double least;  // of the rooms; the share is in [0, 1]
};

FASTPHOTO_INLINE Paler paler(const Colour& xyz) {
  Paler p;
  const double above = xyz.y < 0 ? 0.0 : xyz.y;
  p.grey = above > 1 ? 1.0 : above;
  const Colour light = product(kMatrices.from_xyz, xyz);
  p.chroma = {light.x - p.grey, light.y - p.grey, light.z - p.grey};
  p.x = room_of(p.grey, p.chroma.x);
  p.y = room_of(p.grey, p.chroma.y);
  p.z = room_of(p.grey, p.chroma.z);
  const double two = p.y.value < p.x.value ? p.y.value : p.x.value;
  p.least = p.z.value < two ? p.z.value : two;
  const double positive = p.least < 0 ? 0.0 : p.least;
  p.share = positive > 1 ? 1.0 : positive;
  return p;
}

FASTPHOTO_INLINE Colour perceived_of_lab(const Colour& lab) {
  const double middle = (lab.x + 16) * (1.0 / 116);
  return {middle + lab.y * (1.0 / 500), middle, middle - lab.z * (1.0 / 200)};
}

template <int kMore>
FASTPHOTO_INLINE Colour srgb_of_lab(const Colour& lab) {
  const Colour f = perceived_of_lab(lab);
  const Paler p = paler({from_perceived(f.x).value, from_perceived(f.y).value, from_perceived(f.z).value});
  return {from_linear<kMore>(p.grey + p.chroma.x * p.share).value,
          from_linear<kMore>(p.grey + p.chroma.y * p.share).value,
          from_linear<kMore>(p.grey + p.chroma.z * p.share).value};
}

// The gradient in L*a*b*, from that in sRGB. Channels with equally little room share what the room receives.
template <int kMore>
FASTPHOTO_INLINE Colour srgb_of_lab_gradient(const Colour& lab, const Colour& grad) {
  const Colour f = perceived_of_lab(lab);
  const Curved x = from_perceived(f.x), y = from_perceived(f.y), z = from_perceived(f.z);
  const Paler p = paler({x.value, y.value, z.value});
  const double gx = grad.x * from_linear<kMore>(p.grey + p.chroma.x * p.share).slope,
               gy = grad.y * from_linear<kMore>(p.grey + p.chroma.y * p.share).slope,
               gz = grad.z * from_linear<kMore>(p.grey + p.chroma.z * p.share).slope;
  const double ax = p.x.value == p.least ? 1.0 : 0.0, ay = p.y.value == p.least ? 1.0 : 0.0,
               az = p.z.value == p.least ? 1.0 : 0.0;
  const double share = gx * p.chroma.x + gy * p.chroma.y + gz * p.chroma.z;
  const double moved = (p.least > 1 + kAtBorder ? 0.0 : share) / (ax + ay + az);
  const Colour chroma = {gx * p.share + moved * ax * p.x.by_chroma, gy * p.share + moved * ay * p.y.by_chroma,
                         gz * p.share + moved * az * p.z.by_chroma};
  const double grey = gx + gy + gz - (chroma.x + chroma.y + chroma.z) +
                      moved * (ax * p.x.by_grey + ay * p.y.by_grey + az * p.z.by_grey);
  const Colour xyz = transposed_product(kMatrices.from_xyz, chroma);
  const double fx = xyz.x * x.slope, fz = xyz.z * z.slope,
               fy = (xyz.y + bounded_derivative(y.value, grey)) * y.slope;
  return {(fx + fy + fz) * (1.0 / 116), fx * (1.0 / 500), fz * (-1.0 / 200)};
}

inline void check_colours(const Checks& checks, const char* name, const Tensor& planes) {
  checks.shape(name, planes, 3, "(3, H, W)");
  checks.size(name, planes, 0, 3, "(3, H, W)");
  checks.floating(name, planes);
}

}  // namespace fastphoto
