// Sums over square windows cropped at the border, at a cost that does not grow with the window.
//
// The columns of a window are summed once and slid down row by row, and windows are slid along each row, all
// in double. The length of a band follows from the sizes alone, so that results do not depend on threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <vector>

#include "parallel.h"
#include "vector.h"

namespace fastphoto {

// Each band sums up 2 radius rows before its first, so that long bands waste less. The 64 is by eye.
inline int64_t sliding_band_rows(int64_t radius) { return std::max<int64_t>(64, 2 * (2 * radius + 1)); }

// Calls band(begin, end) for the bands of rows, in parallel.
template <class F>
void over_sliding_bands(int64_t height, int64_t radius, const F& band) {
  const int64_t rows = sliding_band_rows(radius);
  parallel_for(0, (height + rows - 1) / rows, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) band(i * rows, std::min(height, (i + 1) * rows));
  });
}

// The number of pixels of a cropped window along one dimension.
inline int64_t window_length(int64_t position, int64_t radius, int64_t size) {
  return std::min(size - 1, position + radius) - std::max<int64_t>(0, position - radius) + 1;
}

// The column sums of kMoments quantities. Zeros on both sides of the image save cropping the windows.
template <int kMoments>
class ColumnSums {
 public:
  ColumnSums(int64_t width, int64_t radius)
      : reach_(std::min(radius, width)), stride_(width + 2 * reach_ + 1), sums_(kMoments * stride_, 0.0) {}

  // The sums of column 0; column -1 - reach is the first one stored.
  double* row(int moment) { return sums_.data() + moment * stride_ + reach_ + 1; }

  // Sets window[m] to the sum over columns -1 - reach ... -1 + reach, the window before the one of column 0.
  FASTPHOTO_INLINE void start(double window[kMoments]) {
    for (int m = 0; m < kMoments; ++m) {
      window[m] = 0;
      for (int64_t x = 0; x < reach_; ++x) window[m] += row(m)[x];
    }
  }

  // Slides the windows over `count` columns; out[m * out_stride + j] is the window around column + j.
  FASTPHOTO_INLINE void slide(double window[kMoments], int64_t column, int64_t count, double* out,
                              int64_t out_stride) {
    // As many quantities at once as the registers hold; by eye.
    constexpr int kTogether = kMoments % 9 == 0 ? 9 : kMoments % 7 == 0 ? 7 : kMoments % 6 == 0 ? 6 : 1;
    for (int first = 0; first < kMoments; first += kTogether) {
      double sum[kTogether];
      for (int m = 0; m < kTogether; ++m) sum[m] = window[first + m];
      const double* entering = row(first) + column + reach_;
      const double* leaving = row(first) + column - reach_ - 1;
      for (int64_t j = 0; j < count; ++j)
        for (int m = 0; m < kTogether; ++m) {
          sum[m] += entering[m * stride_ + j] - leaving[m * stride_ + j];
          out[(first + m) * out_stride + j] = sum[m];
        }
      for (int m = 0; m < kTogether; ++m) window[first + m] = sum[m];
    }
  }

 private:
  int64_t reach_, stride_;
  std::vector<double> sums_;
};

// Calls use(y, column, count, sums, stride) for all pixels; sums[k * stride + j] is the sum of plane k over
// the window of (y, column + j).
template <class T, class F>
void box_sums(const T* x, int64_t planes, int64_t height, int64_t width, int64_t radius, const F& use) {
  constexpr int64_t kStrip = 256;  // columns at a time, whose sums should stay in the cache; by eye
  over_sliding_bands(height, radius, [&](int64_t begin, int64_t end) {
    std::vector<ColumnSums<1>> columns(planes, ColumnSums<1>(width, radius));
    const auto add = [&](int64_t y, double sign) {
      for (int64_t k = 0; k < planes; ++k) {
        const T* row = x + (k * height + y) * width;
        double* sums = columns[k].row(0);
        for (int64_t i = 0; i < width; ++i) sums[i] += sign * static_cast<double>(row[i]);
      }
    };
    for (int64_t y = std::max<int64_t>(0, begin - radius); y < std::min(height, begin + radius); ++y)
      add(y, 1);
    std::vector<double> windows(planes), sums(planes * kStrip);
    for (int64_t y = begin; y < end; ++y) {
      if (y + radius < height) add(y + radius, 1);
      for (int64_t k = 0; k < planes; ++k) columns[k].start(&windows[k]);
      for (int64_t column = 0; column < width; column += kStrip) {
        const int64_t count = std::min(kStrip, width - column);
        for (int64_t k = 0; k < planes; ++k)
          columns[k].slide(&windows[k], column, count, sums.data() + k * kStrip, kStrip);
        use(y, column, count, sums.data(), kStrip);
      }
      if (y - radius >= 0) add(y - radius, -1);
    }
  });
}

}  // namespace fastphoto
