// The inner loops of the masked Gram matrices on the CPU: pixels are gathered into panels, and panels are
// multiplied tile by tile in registers.
//
// A panel holds kPanel neighbouring channels of a block of pixels, pixel after pixel, so that the products
// read memory in order. Everything is a template on the bytes of a vector, see with_vectors().
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "register_tile.h"
#include "vector.h"

namespace fastphoto {

constexpr int64_t kBlockPixels = 512;  // pixels of a block, whose panels should stay in the cache; by eye

// Eight rows fill the 32 registers of AVX-512, four the 16 of the other sets.
template <class T, int kBytes>
using GramTile = Tile<T, kBytes, kBytes == vector_bytes(InstructionSet::kAvx512) ? 8 : 4>;

// The channels side by side in a panel.
template <class T>
constexpr int64_t panel_channels(InstructionSet set) {
  return 2 * vector_bytes(set) / static_cast<int64_t>(sizeof(T));
}

// A (C, H, W) tensor whose pixels are evenly spaced in memory: planar or channels-last.
template <class T>
struct FeatureView {
  T* data;
  int64_t channels;
  int64_t channel_stride;
  int64_t pixel_stride;
};

// panels[q][k][c] = scale_k * feature(indices[k], channel q * kPanel + c). Elements beyond the last channel
// are not written and stay zero.
template <class T, int kPanel>
FASTPHOTO_INLINE void gather(const FeatureView<const T>& features, const int32_t* indices, const T* scale,
                             int64_t count, int64_t stride, T* panels) {
  for (int64_t first = 0; first < features.channels; first += kPanel, panels += stride * kPanel) {
    const int64_t present = std::min<int64_t>(kPanel, features.channels - first);
    const T* source = features.data + first * features.channel_stride;
    for (int64_t k = 0; k < count; ++k) {
      const T* pixel = source + indices[k] * features.pixel_stride;
      const T weight = scale ? scale[k] : T(1);
      T* out = panels + k * kPanel;
      if (present == kPanel && features.channel_stride == 1)
        for (int c = 0; c < kPanel; ++c) out[c] = weight * pixel[c];
      else if (present == kPanel)
        for (int c = 0; c < kPanel; ++c) out[c] = weight * pixel[c * features.channel_stride];
      else
        for (int c = 0; c < present; ++c) out[c] = weight * pixel[c * features.channel_stride];
    }
  }
}

inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// partial[q][i][c] (panel q of columns, row i) = sum over the listed pixels of m^2 f_i f_(q kPanel + c), in
// the tiles that touch the upper triangle.
template <class T, int kBytes>
FASTPHOTO_INLINE void partial_gram(const FeatureView<const T>& features, const int32_t* indices,
                                   const T* weights, int64_t count, T* partial) {
  using RegisterTile = GramTile<T, kBytes>;
  constexpr int kPanel = RegisterTile::kPanel, kRows = RegisterTile::kRows;
  const int64_t padded = round_up(features.channels, kPanel);
  std::vector<T> panels(kBlockPixels * padded, T(0));
  for (int64_t begin = 0; begin < count; begin += kBlockPixels) {
    const int64_t pixels = std::min(kBlockPixels, count - begin);
    gather<T, kPanel>(features, indices + begin, weights + begin, pixels, kBlockPixels, panels.data());
    for (int64_t column = 0; column < padded; column += kPanel)
      for (int64_t row = 0; row < std::min(features.channels, column + kPanel); row += kRows) {
        RegisterTile tile;
        tile.clear();
        tile.multiply(panels.data() + row / kPanel * kPanel * kBlockPixels + row % kPanel, 1, kPanel,
                      panels.data() + column * kBlockPixels, pixels);
        tile.store(partial + column * padded + row * kPanel, kPanel, begin > 0);
      }
  }
}

// Adds m^2 S f of the listed pixels to out; symmetric[q][k][c] is S = dG + dG^T in panels of columns, padded
// with zeros. For channels-last features: the lanes of a vector are channels.
template <class T, int kBytes>
FASTPHOTO_INLINE void add_gradient_channels_last(const FeatureView<const T>& features, const int32_t* indices,
                                                 const T* weights, int64_t count, const T* symmetric,
                                                 const FeatureView<T>& out, T* panels) {
  using RegisterTile = GramTile<T, kBytes>;
  constexpr int kPanel = RegisterTile::kPanel, kRows = RegisterTile::kRows;
  const int64_t padded = round_up(features.channels, kPanel);
  gather<T, kPanel>(features, indices, nullptr, count, kBlockPixels, panels);
  for (int64_t column = 0; column < features.channels; column += kPanel) {
    const int64_t present = std::min<int64_t>(kPanel, features.channels - column);
    // The last tile reads up to kRows - 1 stale pixels of the buffer; their rows are not added to out.
    for (int64_t row = 0; row < count; row += kRows) {
      RegisterTile tile;
      tile.clear();
      for (int64_t inner = 0; inner < padded; inner += kPanel)
        tile.multiply(panels + inner * kBlockPixels + row * kPanel, kPanel, 1,
                      symmetric + column * padded + inner * kPanel, kPanel);
      T product[kRows * kPanel];
      tile.store(product, kPanel, false);
      // Add the tile's pixels to out.
      for (int64_t m = 0; m < std::min<int64_t>(kRows, count - row); ++m) {
        const T scale = weights[row + m] * weights[row + m];
        const T* values = product + m * kPanel;
        T* pixel = out.data + column + indices[row + m] * out.pixel_stride;
        if (present == kPanel)
          for (int c = 0; c < kPanel; ++c) pixel[c] += scale * values[c];
        else
          for (int c = 0; c < present; ++c) pixel[c] += scale * values[c];
      }
    }
  }
}

// The same for planar features: the lanes of a vector are pixels, most of which are neighbours in memory.
template <class T, int kBytes>
FASTPHOTO_INLINE void add_gradient_planar(const FeatureView<const T>& features, const int32_t* indices,
                                          const T* weights, int64_t count, const T* symmetric,
                                          const FeatureView<T>& out, T* panels) {
  using RegisterTile = GramTile<T, kBytes>;
  constexpr int kPanel = RegisterTile::kPanel, kRows = RegisterTile::kRows;
  const int64_t channels = features.channels, padded = round_up(channels, kPanel);
  T scale[kBlockPixels];
  for (int64_t i = 0; i < count; ++i) scale[i] = weights[i] * weights[i];
  // Find the stretches of pixels that lie side by side in memory; none crosses the border of a panel.
  int64_t starts[kBlockPixels + 1], stretches = 0;
  for (int64_t i = 0; i < count; ++i)
    if (i % kPanel == 0 || indices[i] != indices[i - 1] + 1) starts[stretches++] = i;
  starts[stretches] = count;

  // Gather the pixels into panels, stretch by stretch.
  for (int64_t k = 0; k < channels; ++k) {
    const T* plane = features.data + k * features.channel_stride;
    for (int64_t s = 0; s < stretches; ++s) {
      const int64_t first = starts[s], length = starts[s + 1] - first;
      const T* source = plane + indices[first];
      T* panel = panels + (first / kPanel * channels + k) * kPanel + first % kPanel;
      if (length == kPanel)
        std::memcpy(panel, source, kPanel * sizeof(T));
      else
        for (int64_t i = 0; i < length; ++i) panel[i] = source[i];
    }
  }

  // Multiply, and add each panel's stretches to out.
  for (int64_t row = 0; row < channels; row += kRows)
    for (int64_t s = 0; s < stretches;) {
      const int64_t panel = starts[s] / kPanel * kPanel;
      RegisterTile tile;
      tile.clear();
      tile.multiply(symmetric + row / kPanel * kPanel * padded + row % kPanel, 1, kPanel,
                    panels + panel * channels, channels);
      T product[kRows * kPanel];
      tile.store(product, kPanel, false);
      for (; s < stretches && starts[s] < panel + kPanel; ++s) {
        const int64_t first = starts[s], length = starts[s + 1] - first;
        T* pixels = out.data + row * out.channel_stride + indices[first];
        for (int64_t m = 0; m < std::min<int64_t>(kRows, channels - row); ++m, pixels += out.channel_stride) {
          const T* values = product + m * kPanel + first - panel;
          if (length == kPanel)
            for (int i = 0; i < kPanel; ++i) pixels[i] += scale[first + i] * values[i];
          else
            for (int64_t i = 0; i < length; ++i) pixels[i] += scale[first + i] * values[i];
        }
      }
    }
}

template <class T, int kBytes>
FASTPHOTO_INLINE void add_gradient(const FeatureView<const T>& features, const int32_t* indices,
                                   const T* weights, int64_t count, const T* symmetric,
                                   const FeatureView<T>& out, T* panels) {
  for (int64_t begin = 0; begin < count; begin += kBlockPixels) {
    const int64_t pixels = std::min(kBlockPixels, count - begin);
    if (out.channel_stride == 1)
      add_gradient_channels_last<T, kBytes>(features, indices + begin, weights + begin, pixels, symmetric,
                                            out, panels);
    else
      add_gradient_planar<T, kBytes>(features, indices + begin, weights + begin, pixels, symmetric, out,
                                     panels);
  }
}

}  // namespace fastphoto
