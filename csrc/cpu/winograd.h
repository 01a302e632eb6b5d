// The inner loops of 3 x 3 convolutions on the CPU by Winograd's minimal filtering F(4 x 4, 3 x 3), Lavin and
// Gray (CVPR 2016): for each 4 x 4 tile of the output 36 products where the definition has 144.
//
// y = A^T [(G w G^T) . (B^T x B)] A, where the dot is summed over input channels: 36 matrix products of
// (tiles, I) by (I, O). The points 0, +-sqrt(1/2), +-sqrt(2), infinity keep single precision within a few
// units of its last places. The lanes of a vector are channels. Everything is a template on the bytes of a
// vector, see with_vectors().
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "register_tile.h"
#include "vector.h"

namespace fastphoto {

constexpr int kTile = 4;           // outputs of a tile in each direction
constexpr int kPatch = kTile + 2;  // inputs that they depend on
constexpr int kPoints = kPatch * kPatch;
constexpr int kPanelChannels = 16;  // output channels side by side in transformed weights: one AVX-512 vector
constexpr double kSqrt2 = 1.41421356237309504880;

// G w, from a row or column of a filter.
template <class T>
inline void transform_filter(const T w[3], T out[kPatch]) {
  const T even = w[0] * T(-2.0 / 3) - w[2] * T(1.0 / 3), odd = w[1] * T(-kSqrt2 / 3);
  const T far_even = w[0] * T(1.0 / 6) + w[2] * T(1.0 / 3), far_odd = w[1] * T(kSqrt2 / 6);
  out[0] = w[0];
  out[1] = even + odd;
  out[2] = even - odd;
  out[3] = far_even + far_odd;
  out[4] = far_even - far_odd;
  out[5] = w[2];
}

// B^T x, from a row or column of a patch.
template <class T, class Vector>
FASTPHOTO_INLINE void transform_input(const Vector x[kPatch], Vector out[kPatch]) {
  const Vector near_even = x[4] - T(2) * x[2], near_odd = T(kSqrt2 / 2) * x[3] - T(kSqrt2) * x[1];
  const Vector far_even = x[4] - T(0.5) * x[2], far_odd = T(kSqrt2) * x[3] - T(kSqrt2 / 2) * x[1];
  out[0] = (x[0] - T(2.5) * x[2]) + x[4];
  out[1] = near_even + near_odd;
  out[2] = near_even - near_odd;
  out[3] = far_even + far_odd;
  out[4] = far_even - far_odd;
  out[5] = (x[1] - T(2.5) * x[3]) + x[5];
}

// A^T m, from a row or column of products.
template <class T, class Vector>
FASTPHOTO_INLINE void transform_output(const Vector m[kPatch], Vector out[kTile]) {
  const Vector near_even = m[1] + m[2], near_odd = m[1] - m[2], far_even = m[3] + m[4], far_odd = m[3] - m[4];
  out[0] = m[0] + near_even + far_even;
  out[1] = T(kSqrt2 / 2) * near_odd + T(kSqrt2) * far_odd;
  out[2] = T(0.5) * near_even + T(2) * far_even;
  out[3] = T(kSqrt2 / 4) * near_odd + T(2 * kSqrt2) * far_odd + m[5];
}

// One image: x is (height, width, channels), out is (out_height, out_width, out_channels).
template <class T>
struct ConvolutionView {
  const T* x;
  int64_t height, width, channels;
  int64_t padding;   // pixels around x
  bool reflect;      // whether these pixels mirror x; if not, they are zeros
  const T* weights;  // (kPoints, out_channels / 16, channels, 16), the last panel filled up with zeros
  const T* bias;     // (out_channels) or null
  bool relu;
  T* out;
  int64_t out_height, out_width, out_channels;

  int64_t tile_columns() const { return (out_width + kTile - 1) / kTile; }
  int64_t tiles() const { return (out_height + kTile - 1) / kTile * tile_columns(); }
};

// The row or column of the image that one of the padded image repeats, or -1 for zeros.
inline int64_t inside(int64_t position, int64_t length, bool reflect) {
  if (position >= 0 && position < length) return position;
  if (!reflect) return -1;
  // Clamped, because a patch can reach farther than the padding: no output depends on what it finds there.
  const int64_t mirrored = position < 0 ? -position : 2 * (length - 1) - position;
  return std::min(std::max<int64_t>(mirrored, 0), length - 1);
}

template <class T, int kBytes>
struct Winograd {
  static constexpr int kLanes = kBytes / sizeof(T);
  static constexpr int kVectors = kPanelChannels / kLanes;
  static constexpr int kRows = kVectors < 12 ? 12 / kVectors : 1;
  using RegisterTile = Tile<T, kBytes, kRows, kVectors>;
  using Vector = typename RegisterTile::Vector;

  static FASTPHOTO_INLINE void load(Vector& value, const T* from) {
    std::memcpy(&value, from, sizeof(Vector));
  }
  static FASTPHOTO_INLINE void store(const Vector& value, T* to) { std::memcpy(to, &value, sizeof(Vector)); }

  static FASTPHOTO_INLINE void load_part(Vector& value, const T* from, int present) {
    if (present == kLanes)
      load(value, from);
    else
      for (int i = 0; i < present; ++i) value[i] = from[i];
  }
  static FASTPHOTO_INLINE void store_part(const Vector& value, T* to, int present) {
    if (present == kLanes)
      store(value, to);
    else
      for (int i = 0; i < present; ++i) to[i] = value[i];
  }

  // Transforms kLanes channels of a patch into out[point * stride]; at(row, column) points to a pixel's.
  template <class At>
  static FASTPHOTO_INLINE void patch(const At& at, T* out, int64_t stride) {
    Vector half[kPatch][kPatch];
#pragma GCC unroll 6
    for (int column = 0; column < kPatch; ++column) {
      Vector x[kPatch], t[kPatch];
#pragma GCC unroll 6
      for (int row = 0; row < kPatch; ++row) load(x[row], at(row, column));
      transform_input<T>(x, t);
#pragma GCC unroll 6
      for (int row = 0; row < kPatch; ++row) half[row][column] = t[row];
    }
#pragma GCC unroll 6
    for (int row = 0; row < kPatch; ++row) {
      Vector t[kPatch];
      transform_input<T>(half[row], t);
#pragma GCC unroll 6
      for (int column = 0; column < kPatch; ++column)
        store(t[column], out + (row * kPatch + column) * stride);
    }
  }

  // Transforms all channels of a patch whose pixels do not lie in rows, or have too few channels to fill a
  // vector.
  static FASTPHOTO_INLINE void scattered_patch(const T* const pixels[kPoints], int64_t channels, T* out,
                                               int64_t stride) {
    T filled[kPoints][kLanes] = {};
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      const int64_t count = std::min<int64_t>(kLanes, channels - channel);
      for (int i = 0; i < kPoints; ++i)
        for (int64_t c = 0; c < count; ++c) filled[i][c] = pixels[i][channel + c];
      patch([&](int row, int column) { return filled[row * kPatch + column]; }, out + channel, stride);
    }
  }

  // Computes transformed[point][tile][channel] of tiles [begin, end). Channels are filled up to a multiple of
  // kLanes with numbers that are not read. `zeros` has as many zeros as there are channels.
  static FASTPHOTO_INLINE void inputs(const ConvolutionView<T>& v, int64_t begin, int64_t end, int64_t pitch,
                                      int64_t stride, const T* zeros, T* transformed) {
    const int64_t columns = v.tile_columns(), line = v.width * v.channels;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t top = tile / columns * kTile - v.padding, left = tile % columns * kTile - v.padding;
      T* out = transformed + (tile - begin) * pitch;
      // A patch inside the image is read where it lies.
      if (v.channels >= kLanes && top >= 0 && left >= 0 && top + kPatch <= v.height &&
          left + kPatch <= v.width) {
        const T* corner = v.x + top * line + left * v.channels;
        for (int64_t channel = 0; channel < v.channels; channel += kLanes) {
          // The last vector begins early enough to end with the channels, and computes some of them again.
          const int64_t first = std::min(channel, v.channels - kLanes);
          patch([&](int row, int column) { return corner + row * line + column * v.channels + first; },
                out + first, stride);
        }
        continue;
      }
      // At the border, pixels are looked up one by one.
      const T* pixels[kPoints];
      for (int row = 0; row < kPatch; ++row) {
        const int64_t y = inside(top + row, v.height, v.reflect);
        for (int column = 0; column < kPatch; ++column) {
          const int64_t x = inside(left + column, v.width, v.reflect);
          pixels[row * kPatch + column] = y < 0 || x < 0 ? zeros : v.x + (y * v.width + x) * v.channels;
        }
      }
      scattered_patch(pixels, v.channels, out, stride);
    }
  }

  // products[point][tile][o] = sum over c of transformed[point][tile][c] weights[point][c][o].
  static FASTPHOTO_INLINE void multiply(const ConvolutionView<T>& v, int64_t tiles, int64_t pitch,
                                        int64_t stride, const T* transformed, int64_t out_pitch,
                                        int64_t out_stride, T* products) {
    const int64_t panels = out_pitch / kPanelChannels;
    for (int point = 0; point < kPoints; ++point)
      for (int64_t panel = 0; panel < panels; ++panel) {
        const T* weights = v.weights + (point * panels + panel) * v.channels * kPanelChannels;
        for (int64_t tile = 0; tile < tiles; tile += kRows) {
          RegisterTile sums;
          sums.clear();
          sums.multiply(transformed + point * stride + tile * pitch, pitch, 1, weights, v.channels);
          sums.store(products + point * out_stride + tile * out_pitch + panel * kPanelChannels, out_pitch,
                     false);
        }
      }
  }

  // Transforms the products of kLanes channels of a tile, and writes the pixels that lie in the image.
  static FASTPHOTO_INLINE void unpatch(const ConvolutionView<T>& v, const T* products, int64_t stride,
                                       int64_t top, int64_t left, int64_t channel, int present) {
    Vector half[kTile][kPatch];
#pragma GCC unroll 6
    for (int column = 0; column < kPatch; ++column) {
      Vector m[kPatch], t[kTile];
#pragma GCC unroll 6
      for (int row = 0; row < kPatch; ++row) load(m[row], products + (row * kPatch + column) * stride);
      transform_output<T>(m, t);
#pragma GCC unroll 4
      for (int row = 0; row < kTile; ++row) half[row][column] = t[row];
    }
    Vector bias{};
    if (v.bias) load_part(bias, v.bias + channel, present);
    const int64_t rows = std::min<int64_t>(kTile, v.out_height - top);
    const int64_t columns = std::min<int64_t>(kTile, v.out_width - left);
    for (int64_t row = 0; row < rows; ++row) {
      Vector y[kTile];
      transform_output<T>(half[row], y);
      T* out = v.out + ((top + row) * v.out_width + left) * v.out_channels + channel;
      for (int64_t column = 0; column < columns; ++column, out += v.out_channels) {
        Vector value = y[column] + bias;
        if (v.relu) value = value < T(0) ? Vector{} : value;  // a NaN stays one
        store_part(value, out, present);
      }
    }
  }

  // Transforms the products of tiles [begin, end) and writes them to the image.
  static FASTPHOTO_INLINE void outputs(const ConvolutionView<T>& v, int64_t begin, int64_t end, int64_t pitch,
                                       int64_t stride, const T* products) {
    const int64_t columns = v.tile_columns();
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t top = tile / columns * kTile, left = tile % columns * kTile;
      const T* tile_products = products + (tile - begin) * pitch;
      for (int64_t channel = 0; channel < v.out_channels; channel += kLanes) {
        if (v.out_channels < kLanes) {
          unpatch(v, tile_products, stride, top, left, 0, static_cast<int>(v.out_channels));
        } else {
          const int64_t at = std::min(channel, v.out_channels - kLanes);
          unpatch(v, tile_products + at, stride, top, left, at, kLanes);
        }
      }
    }
  }
};

}  // namespace fastphoto
