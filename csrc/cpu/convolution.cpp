// 3 x 3 convolutions on the CPU by Winograd's filtering: filters are transformed once, and tiles of the
// output go to threads in blocks that fit a cache. The inner loops and the equations are in winograd.h.
//
// Flops per output pixel, for I input and O output channels: 4.5 I O, a quarter of the definition's 18 I O,
// and the transforms of inputs and outputs.
#include "convolution.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "parallel.h"
#include "winograd.h"

namespace fastphoto {
namespace {

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// ---- weights

// (O, I, 3, 3) -> (36, panels, I, 16): G w G^T of every filter, computed in double and then rounded.
template <class T>
Tensor transformed_weights(const Tensor& weight) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  const int64_t panels = (outputs + kPanelChannels - 1) / kPanelChannels;
  const std::array<int64_t, 4> size{kPoints, panels, inputs, kPanelChannels};
  const Tensor out = torch::stable::new_empty(weight, {size.data(), size.size()});
  const T* data = weight.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  parallel_for(0, panels * kPanelChannels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t i = 0; i < inputs; ++i) {
        double rows[kPatch][3] = {}, filter[kPatch][kPatch] = {};
        if (o < outputs) {
          const T* w = data + (o * inputs + i) * 9;
          for (int column = 0; column < 3; ++column) {
            const double x[3] = {w[column], w[3 + column], w[6 + column]};
            double t[kPatch];
            transform_filter(x, t);
            for (int row = 0; row < kPatch; ++row) rows[row][column] = t[row];
          }
          for (int row = 0; row < kPatch; ++row) transform_filter(rows[row], filter[row]);
        }
        T* first_point = out_data + (o / kPanelChannels * inputs + i) * kPanelChannels + o % kPanelChannels;
        for (int point = 0; point < kPoints; ++point)
          first_point[point * panels * inputs * kPanelChannels] =
              static_cast<T>(filter[point / kPatch][point % kPatch]);
      }
  });
  return out;
}

Tensor convolution_weights(const Tensor& weight) {
  const Checks checks("convolution_weights");
  checks.shape("weight", weight, 4, "(O, I, 3, 3)");
  checks.size("weight", weight, 2, 3, "(O, I, 3, 3)");
  checks.size("weight", weight, 3, 3, "(O, I, 3, 3)");
  checks.floating("weight", weight);
  const Tensor dense = torch::stable::contiguous(weight);
  return weight.scalar_type() == ScalarType::Float ? transformed_weights<float>(dense)
                                                   : transformed_weights<double>(dense);
}

// ---- convolution

// The number of tiles in a block. Its transformed inputs and products should stay in a core's cache, weights
// that do not fit there should be used for many tiles, and all threads should get equally many blocks.
int64_t block_tiles(int64_t tiles, int64_t numbers_per_tile, int64_t size_of_number, int64_t rows) {
  constexpr int64_t kCacheBytes = 1 << 20, kFewest = 36, kMost = 240;  // by eye
  const int64_t fitting = kCacheBytes / (numbers_per_tile * size_of_number);
  const int64_t most = std::min(std::max(fitting, kFewest), kMost);
  const int64_t blocks = round_up((tiles + most - 1) / most, number_of_threads());
  return round_up((tiles + blocks - 1) / blocks, rows);
}

template <class T>
Tensor convolution_value(const Tensor& x, const Tensor& any_weights, const T* bias, int64_t out_channels,
                         int64_t padding, bool reflect, bool relu) {
  const Tensor weights = torch::stable::contiguous(any_weights);
  const int64_t images = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const std::array<int64_t, 4> size{images, height + 2 * padding - 2, width + 2 * padding - 2, out_channels};
  const Tensor dense = torch::stable::new_empty(x, {size.data(), size.size()});
  ConvolutionView<T> view{x.const_data_ptr<T>(),
                          height,
                          width,
                          channels,
                          padding,
                          reflect,
                          weights.const_data_ptr<T>(),
                          bias,
                          relu,
                          dense.mutable_data_ptr<T>(),
                          size[1],
                          size[2],
                          out_channels};
  const InstructionSet set = instruction_set();
  int64_t rows = 0;  // tiles that are multiplied at once
  with_vectors(set, [&](auto bytes) FASTPHOTO_INLINED_LAMBDA { rows = Winograd<T, bytes>::kRows; });
  const int64_t pitch = round_up(channels, kPanelChannels), out_pitch = weights.size(1) * kPanelChannels;
  const int64_t tiles = view.tiles();
  const int64_t block = block_tiles(tiles, kPoints * (pitch + out_pitch), sizeof(T), rows);
  const int64_t blocks = (tiles + block - 1) / block;
  const std::vector<T> zeros(channels, T(0));
  parallel_for(0, images * blocks, 1, [&](int64_t first, int64_t last) {
    // The last rows of the buffers may belong to no tile. They are multiplied too, and the products not read.
    std::unique_ptr<T[]> transformed(new T[kPoints * block * pitch]);
    std::unique_ptr<T[]> products(new T[kPoints * block * out_pitch]);
    for (int64_t task = first; task < last; ++task) {
      ConvolutionView<T> image = view;
      image.x += task / blocks * height * width * channels;
      image.out += task / blocks * size[1] * size[2] * out_channels;
      const int64_t begin = task % blocks * block, end = std::min(begin + block, tiles);
      // One call for each loop, because the addresses of all three together would not fit the registers.
      with_vectors(set, [&](auto bytes) FASTPHOTO_INLINED_LAMBDA {
        Winograd<T, bytes>::inputs(image, begin, end, pitch, block * pitch, zeros.data(), transformed.get());
      });
      with_vectors(set, [&](auto bytes) FASTPHOTO_INLINED_LAMBDA {
        Winograd<T, bytes>::multiply(image, end - begin, pitch, block * pitch, transformed.get(), out_pitch,
                                     block * out_pitch, products.get());
      });
      with_vectors(set, [&](auto bytes) FASTPHOTO_INLINED_LAMBDA {
        Winograd<T, bytes>::outputs(image, begin, end, out_pitch, block * out_pitch, products.get());
      });
    }
  });
  return torch::stable::transpose(torch::stable::transpose(dense, 1, 3), 2, 3);
}

Tensor convolution(const Tensor& x, const Tensor& weights, const std::optional<Tensor>& any_bias,
                   int64_t out_channels, int64_t padding, bool reflect, bool relu) {
  const Checks checks("convolution");
  check_convolution(checks, x, weights, kPoints, kPanelChannels, out_channels, padding);
  std::optional<Tensor> bias;
  if (any_bias) {
    check_bias(checks, *any_bias, x, out_channels);
    bias = torch::stable::contiguous(*any_bias);
  }
  if (x.scalar_type() == ScalarType::Float)
    return convolution_value<float>(x, weights, bias ? bias->const_data_ptr<float>() : nullptr, out_channels,
                                    padding, reflect, relu);
  return convolution_value<double>(x, weights, bias ? bias->const_data_ptr<double>() : nullptr, out_channels,
                                   padding, reflect, relu);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("convolution_weights", TORCH_BOX(&convolution_weights));
  m.impl("convolution", TORCH_BOX(&convolution));
}

}  // namespace fastphoto
