// The equation of a recolouring region by region in L*a*b*, and the operators' argument checks.
//
// Region r has broad tones b_r, local contrast d_r, chroma c_r (2), and a matte m_r. Its new colours w_r are
//
//     L*:     b_r + t_r + exp(min(s tanh(g_r / s), most_r)) d_r
//     chroma: c_r + u_r + M_r (share b_r, c_r - centre_r), the centre also of share b_r,
//
// and the result is rest + sum over r of m_r w_r. (t_r, u_r) are curves (3, T, gh, gw): at each pixel they
// are interpolated linearly between the cells of a grid, whose first and last lie at the first and last
// pixel, and between T knots at whole numbers of `tones`; beyond the outer knots they fall to 0 within 1. The
// logarithms of gains g_r (gh, gw) are interpolated on the same grid.
#pragma once

#include <array>
#include <cstdint>

#include "checks.h"

namespace fastphoto {

// What a recolouring does not change: the content and the regions' images.
struct RegionPlanes {
  const Tensor &tones, &broad, &contrast, &chroma, &mattes, &centre, &most_gain;
};

// What it does.
struct RegionCurves {
  const Tensor &curves, &gains, &matrices;
};

inline void check_sizes(const Checks& checks, const char* name, const Tensor& tensor,
                        std::initializer_list<int64_t> sizes, const char* expected) {
  checks.shape(name, tensor, static_cast<int64_t>(sizes.size()), expected);
  int64_t dim = 0;
  for (const int64_t size : sizes) {
    if (size > 0) checks.size(name, tensor, dim, size, expected);
    ++dim;
  }
}

// `image` is what a recolouring returns, or its gradient.
inline void check_recolouring(const Checks& checks, const RegionPlanes& p, const RegionCurves& c,
                              const char* image_name, const Tensor& image, double most_contrast) {
  checks.shape("tones", p.tones, 2, "(H, W)");
  checks.floating("tones", p.tones);
  const int64_t height = p.tones.size(0), width = p.tones.size(1);
  check_sizes(checks, "curves", c.curves, {0, 3, 0, 0, 0}, "(R, 3, T, gh, gw)");
  const int64_t regions = c.curves.size(0), rows = c.curves.size(3), columns = c.curves.size(4);
  check_sizes(checks, "broad", p.broad, {regions, height, width}, "(R, H, W)");
  check_sizes(checks, "contrast", p.contrast, {regions, height, width}, "(R, H, W)");
  check_sizes(checks, "chroma", p.chroma, {regions, 2, height, width}, "(R, 2, H, W)");
  check_sizes(checks, "mattes", p.mattes, {regions, height, width}, "(R, H, W)");
  check_sizes(checks, image_name, image, {3, height, width}, "(3, H, W)");
  check_sizes(checks, "centre", p.centre, {regions, 3}, "(R, 3)");
  check_sizes(checks, "most_gain", p.most_gain, {regions}, "(R,)");
  check_sizes(checks, "gains", c.gains, {regions, rows, columns}, "(R, gh, gw)");
  check_sizes(checks, "matrices", c.matrices, {regions, 2, 3}, "(R, 2, 3)");
  checks.that(rows >= 2 && columns >= 2, "curves is ", Checks::describe(c.curves),
              ", expected gh and gw at least 2");
  checks.positive("most_contrast", most_contrast);
  const std::array<std::pair<const char*, const Tensor*>, 10> others{{{"broad", &p.broad},
                                                                      {"contrast", &p.contrast},
                                                                      {"chroma", &p.chroma},
                                                                      {"mattes", &p.mattes},
                                                                      {"centre", &p.centre},
                                                                      {"most_gain", &p.most_gain},
                                                                      {"curves", &c.curves},
                                                                      {"gains", &c.gains},
                                                                      {"matrices", &c.matrices},
                                                                      {image_name, &image}}};
  for (const auto& [name, tensor] : others) checks.alike(name, *tensor, "tones", p.tones);
}

}  // namespace fastphoto
