// The equation of local contrast beyond a limit, and the operator's argument checks.
//
// Band b of an L*a*b* picture x_b, (3, H_b, W_b), is what its half lacks: d = x_b - U(x_b+1), where x_b+1 is
// the mean over 2 x 2 pixels, cropped at the border, and U enlarges bilinearly. With the mean M over 5 x 5
// pixels, cropped too, the local contrast is c = sqrt(M(sum over channels of d^2) + 1e-4). The loss is
//
//     sum over bands of mean over pixels of w max(c - t, 0)^2,
//
// with the importance w and the limit t of each pixel and band.
#pragma once

#include "checks.h"

namespace fastphoto {

constexpr double kLeastSquare = 1e-4;  // the root of 0 has no derivative

inline int64_t halved(int64_t size) { return (size + 1) / 2; }

inline void check_contrast_excess(const Checks& checks, const Tensor& lab, const Tensor& importance,
                                  const Tensor& limit, int64_t bands) {
  checks.shape("lab", lab, 3, "(3, H, W)");
  checks.size("lab", lab, 0, 3, "(3, H, W)");
  checks.floating("lab", lab);
  checks.that(bands >= 1, "bands is ", bands, ", expected 1 or more");
  int64_t height = lab.size(1), width = lab.size(2), pixels = 0;
  for (int64_t band = 0; band < bands; ++band) {
    checks.that(height >= 2 && width >= 2, "lab is ", Checks::describe(lab),
                ", expected 2 x 2 pixels or more in each of ", bands, " bands");
    pixels += height * width;
    height = halved(height);
    width = halved(width);
  }
  const auto check_pixels = [&](const char* name, const Tensor& tensor) {
    checks.that(tensor.dim() == 1 && tensor.size(0) == pixels, name, " is ", Checks::describe(tensor),
                ", expected (", pixels, ",), the pixels of ", bands, " bands");
    checks.alike(name, tensor, "lab", lab);
  };
  check_pixels("importance", importance);
  check_pixels("limit", limit);
}

}  // namespace fastphoto
