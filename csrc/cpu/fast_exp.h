// exp of numbers below 88, in operations that every vector unit has. The relative error is below 2e-7 for
// float and 1e-14 for double.
#pragma once

#include <cstdint>
#include <cstring>

#include "vector.h"

namespace fastphoto {

// x = n ln 2 + r with |r| <= ln 2 / 2: a Taylor polynomial gives exp(r), and n goes into the exponent's bits.
// Adding 1.5 * 2^(mantissa bits) rounds to an integer and leaves it in the low bits. Results below the
// smallest normal number are 0; a NaN stays a NaN. The bits are unsigned, so that their sums may wrap.
FASTPHOTO_INLINE float fast_exp(float x) {
  constexpr float shift = 12582912.0f;
  const float shifted = x * 1.44269504f + shift;
  const float n = shifted - shift;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 23) + (127u << 23);
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return x < -87.0f ? 0.0f : p * power;
}

FASTPHOTO_INLINE double fast_exp(double x) {
  constexpr double shift = 6755399441055744.0;
  const double shifted = x * 1.4426950408889634 + shift;
  const double n = shifted - shift;
  const double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  uint64_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 52) + (uint64_t{1023} << 52);
  double power;
  std::memcpy(&power, &bits, sizeof(power));
  return x < -708.0 ? 0.0 : p * power;
}

}  // namespace fastphoto
