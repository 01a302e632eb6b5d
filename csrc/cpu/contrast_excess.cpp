// Local contrast beyond a limit on the CPU, with its gradient, see contrast_excess.h.
//
// Bands are made from fine to coarse, and their gradients are added from coarse to fine. Per pixel of the
// picture of 4-byte numbers, all bands together: some 200 bytes go to or come from the cache, where small
// pictures stay, and there are 130 flops. The operators of PyTorch that it stands for are a hundred.
#include "contrast_excess.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <vector>

#include "layout.h"
#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int kChannels = 3;
constexpr int kRadius = 2;      // of the window of a contrast
constexpr int64_t kGrain = 64;  // rows for each thread at least; by eye

// Enlarging along one dimension, from `small` numbers to `large`: number i is between low[i] and the next
// one.
template <class T>
struct Enlarging {
  static constexpr int kTaps = 6;  // the most large numbers that one small number has a part in

  int64_t small, large;
  std::vector<int64_t> low;
  std::vector<T> share;                    // of the next one
  std::vector<int64_t> first;              // for each small number: the first large one that it has a part in
  std::vector<std::array<T, kTaps>> part;  // and its parts in that and the following ones

  Enlarging(int64_t small_size, int64_t large_size)
      : small(small_size), large(large_size), low(large), share(large), first(small, large), part(small) {
    const double scale = static_cast<double>(small) / static_cast<double>(large);
    for (int64_t i = 0; i < large; ++i) {
      const double place = std::max(scale * (static_cast<double>(i) + 0.5) - 0.5, 0.0);
      low[i] = std::min(static_cast<int64_t>(place), small - 1);
      share[i] = low[i] + 1 < small ? static_cast<T>(place - static_cast<double>(low[i])) : T(0);
      add(low[i], i, T(1) - share[i]);
      if (low[i] + 1 < small) add(low[i] + 1, i, share[i]);
    }
  }

 private:
  void add(int64_t from, int64_t to, T amount) {
    first[from] = std::min(first[from], to);
    part[from][to - first[from]] = amount;
  }
};

// One band: its picture, and what its gradient needs.
template <class T>
struct Band {
  int64_t height, width;
  std::vector<T> picture;   // (3, H, W)
  std::vector<T> detail;    // (3, H, W): the picture without its enlarged half
  std::vector<T> gradient;  // (3, H, W): of the loss in the picture

  Band(int64_t rows, int64_t columns)
      : height(rows),
        width(columns),
        picture(kChannels * rows * columns),
        detail(picture.size()),
        gradient(picture.size()) {}
  int64_t plane() const { return height * width; }
};

// Calls f(y) for each row, compiled for the instruction set.
template <class F>
void each_row(int64_t height, const F& f) {
  parallel_for(0, height, kGrain, [&](int64_t begin, int64_t end) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      for (int64_t y = begin; y < end; ++y) f(y);
    });
  });
}

// Means over 2 x 2 pixels, of which the last row and column may have fewer.
template <class T>
void halve(const Band<T>& fine, Band<T>& coarse) {
  each_row(coarse.height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    const int64_t below = std::min(2 * y + 1, fine.height - 1);
    for (int c = 0; c < kChannels; ++c) {
      const T *a = fine.picture.data() + c * fine.plane() + 2 * y * fine.width,
              *b = fine.picture.data() + c * fine.plane() + below * fine.width;
      T* out = coarse.picture.data() + c * coarse.plane() + y * coarse.width;
      for (int64_t x = 0; x < fine.width / 2; ++x)
        out[x] = (a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1]) * T(0.25);
      if (fine.width % 2) out[coarse.width - 1] = (a[fine.width - 1] + b[fine.width - 1]) * T(0.5);
    }
  });
}

// The transpose of halve(): adds the coarse gradient to the fine one.
template <class T>
void add_halved_gradient(const Band<T>& coarse, Band<T>& fine) {
  each_row(fine.height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    const T rows = 2 * (y / 2) + 1 < fine.height ? T(0.5) : T(1);
    for (int c = 0; c < kChannels; ++c) {
      const T* in = coarse.gradient.data() + c * coarse.plane() + y / 2 * coarse.width;
      T* out = fine.gradient.data() + c * fine.plane() + y * fine.width;
      for (int64_t x = 0; x < fine.width / 2; ++x) {
        const T amount = in[x] * (rows * T(0.5));
        out[2 * x] += amount;
        out[2 * x + 1] += amount;
      }
      if (fine.width % 2) out[fine.width - 1] += in[coarse.width - 1] * rows;
    }
  });
}

// detail = picture - enlarged coarse picture.
template <class T>
void find_detail(Band<T>& fine, const Band<T>& coarse, const Enlarging<T>& rows,
                 const Enlarging<T>& columns) {
  each_row(fine.height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    std::vector<T> between(coarse.width + 1);
    const int64_t next = std::min(rows.low[y] + 1, coarse.height - 1);
    for (int c = 0; c < kChannels; ++c) {
      const T *above = coarse.picture.data() + c * coarse.plane() + rows.low[y] * coarse.width,
              *below = coarse.picture.data() + c * coarse.plane() + next * coarse.width,
              *picture = fine.picture.data() + c * fine.plane() + y * fine.width;
      T* detail = fine.detail.data() + c * fine.plane() + y * fine.width;
      for (int64_t x = 0; x < coarse.width; ++x)
        between[x] = above[x] + rows.share[y] * (below[x] - above[x]);
      between[coarse.width] = 0;  // read with share 0
      for (int64_t x = 0; x < fine.width; ++x) {
        const T *at = between.data() + columns.low[x], step = at[1] - at[0];
        detail[x] = picture[x] - (at[0] + columns.share[x] * step);
      }
    }
  });
}

// The transpose: subtracts from the coarse gradient what the fine one, here that in the detail, is enlarged
// from.
template <class T>
void subtract_enlarged_gradient(const Band<T>& fine, Band<T>& coarse, const Enlarging<T>& rows,
                                const Enlarging<T>& columns) {
  each_row(coarse.height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    std::vector<T> sums(fine.width + Enlarging<T>::kTaps);
    const int64_t taps = std::min<int64_t>(Enlarging<T>::kTaps, fine.height - rows.first[y]);
    for (int c = 0; c < kChannels; ++c) {
      std::fill(sums.begin(), sums.end(), T(0));
      for (int64_t tap = 0; tap < taps; ++tap) {
        const T amount = rows.part[y][tap];
        const T* in = fine.gradient.data() + c * fine.plane() + (rows.first[y] + tap) * fine.width;
        if (amount != 0)
          for (int64_t x = 0; x < fine.width; ++x) sums[x] += amount * in[x];
      }
      T* out = coarse.gradient.data() + c * coarse.plane() + y * coarse.width;
      for (int64_t x = 0; x < coarse.width; ++x) {
        T sum = 0;
        for (int tap = 0; tap < Enlarging<T>::kTaps; ++tap)
          sum += columns.part[x][tap] * sums[columns.first[x] + tap];
        out[x] -= sum;
      }
    }
  });
}

// The number of positions of a window that lie inside.
int64_t inside(int64_t position, int64_t size) {
  return std::min(position + kRadius, size - 1) - std::max<int64_t>(position - kRadius, 0) + 1;
}

// Row y of sums over 5 x 5 pixels of a plane. `above` has room for the width and the window's overhang.
template <class T>
FASTPHOTO_INLINE void window_row(const T* plane, int64_t height, int64_t width, int64_t y, T* above, T* out) {
  std::fill(above, above + width + 2 * kRadius, T(0));
  T* sums = above + kRadius;
  for (int64_t row = std::max<int64_t>(y - kRadius, 0); row <= std::min(y + kRadius, height - 1); ++row)
    for (int64_t x = 0; x < width; ++x) sums[x] += plane[row * width + x];
  for (int64_t x = 0; x < width; ++x)
    out[x] = above[x] + above[x + 1] + above[x + 2] + above[x + 3] + above[x + 4];
}

// The loss of one band. Sets its gradient to that in the detail.
template <class T>
double band_loss(Band<T>& band, const T* importance, const T* limit) {
  const int64_t height = band.height, width = band.width, plane = band.plane();
  std::vector<T> squares(plane), slopes(plane);  // slopes: of the loss in the window's sums
  std::vector<double> losses(height);
  std::vector<T> shares(width);
  for (int64_t x = 0; x < width; ++x) shares[x] = T(1) / static_cast<T>(inside(x, width));
  each_row(height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    const T* d = band.detail.data() + y * width;
    T* out = squares.data() + y * width;
    for (int64_t x = 0; x < width; ++x)
      out[x] = d[x] * d[x] + d[plane + x] * d[plane + x] + d[2 * plane + x] * d[2 * plane + x];
  });
  each_row(height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    std::vector<T> above(width + 2 * kRadius), row(width);
    window_row(squares.data(), height, width, y, above.data(), row.data());
    const T rows = T(1) / static_cast<T>(inside(y, height)), pixels = static_cast<T>(plane);
    T* out = slopes.data() + y * width;
    double loss = 0;
    for (int64_t x = 0; x < width; ++x) {
      const T share = rows * shares[x], contrast = std::sqrt(row[x] * share + static_cast<T>(kLeastSquare));
      const T difference = contrast - limit[y * width + x];
      const T excess = difference < 0 ? T(0) : difference;  // NaN stays
      const T weighted = importance[y * width + x] * excess;
      row[x] = weighted * excess;
      out[x] = weighted / (contrast * pixels) * share;
    }
    for (int64_t x = 0; x < width; ++x) loss += static_cast<double>(row[x]);
    losses[y] = loss;
  });
  each_row(height, [&](int64_t y) FASTPHOTO_INLINED_LAMBDA {
    std::vector<T> above(width + 2 * kRadius), row(width);
    window_row(slopes.data(), height, width, y, above.data(), row.data());
    for (int c = 0; c < kChannels; ++c) {
      const T* d = band.detail.data() + c * plane + y * width;
      T* out = band.gradient.data() + c * plane + y * width;
      for (int64_t x = 0; x < width; ++x) out[x] = T(2) * d[x] * row[x];
    }
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total / static_cast<double>(plane);
}

template <class T>
std::tuple<Tensor, Tensor> excess_value(const Tensor& any_lab, const Tensor& any_importance,
                                        const Tensor& any_limit, int64_t count) {
  const Tensor lab = torch::stable::contiguous(any_lab),
               importance = torch::stable::contiguous(any_importance),
               limit = torch::stable::contiguous(any_limit);
  std::vector<Band<T>> bands;
  bands.emplace_back(lab.size(1), lab.size(2));
  const T* data = lab.const_data_ptr<T>();
  std::copy(data, data + bands[0].picture.size(), bands[0].picture.begin());
  for (int64_t b = 0; b < count; ++b) {
    bands.emplace_back(halved(bands[b].height), halved(bands[b].width));
    halve(bands[b], bands[b + 1]);
  }
  std::vector<int64_t> first(count + 1);  // pixel of each band
  for (int64_t b = 0; b < count; ++b) first[b + 1] = first[b] + bands[b].plane();

  double loss = 0;
  for (int64_t b = count - 1; b >= 0; --b) {
    Band<T>&fine = bands[b], &coarse = bands[b + 1];
    const Enlarging<T> rows(coarse.height, fine.height), columns(coarse.width, fine.width);
    find_detail(fine, coarse, rows, columns);
    loss += band_loss(fine, importance.const_data_ptr<T>() + first[b], limit.const_data_ptr<T>() + first[b]);
    // All but the coarsest picture have a gradient of their own already, from their band.
    subtract_enlarged_gradient(fine, coarse, rows, columns);
    add_halved_gradient(coarse, fine);
  }
  const Tensor value = scalar_like(lab),
               gradient = torch::stable::new_empty(lab, {kChannels, lab.size(1), lab.size(2)});
  value.mutable_data_ptr<T>()[0] = static_cast<T>(loss);
  std::copy(bands[0].gradient.begin(), bands[0].gradient.end(), gradient.mutable_data_ptr<T>());
  return {value, gradient};
}

std::tuple<Tensor, Tensor> contrast_excess(const Tensor& lab, const Tensor& importance, const Tensor& limit,
                                           int64_t bands) {
  check_contrast_excess(Checks("contrast_excess"), lab, importance, limit, bands);
  return lab.scalar_type() == ScalarType::Float ? excess_value<float>(lab, importance, limit, bands)
                                                : excess_value<double>(lab, importance, limit, bands);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) { m.impl("contrast_excess", TORCH_BOX(&contrast_excess)); }

}  // namespace fastphoto
