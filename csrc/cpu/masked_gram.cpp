// Masked Gram matrices and their gradient on the CPU: how the work is split among threads and summed in a
// fixed order. The inner loops are in gram_tile.h.
//
// Per listed pixel of C channels: C numbers gathered and C^2 flops for one triangle of the matrix. The
// gradient gathers as many, takes 2 C^2 flops, and adds to C numbers of the output.
#include "masked_gram.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "gram_tile.h"
#include "parallel.h"

namespace fastphoto {
namespace {

// The widest vectors are for more channels than one of them holds: fewer would leave half of a panel empty.
template <class T>
InstructionSet instructions_for(int64_t channels) {
  const InstructionSet set = instruction_set();
  const bool narrow = channels <= vector_bytes(set) / static_cast<int64_t>(sizeof(T));
  return set == InstructionSet::kAvx512 && narrow ? InstructionSet::kAvx2 : set;
}

// ---- arguments

// Region r owns the entries offsets[r] ... offsets[r + 1] - 1.
template <class T>
struct PixelLists {
  const int32_t* indices;
  const T* weights;
  const int64_t* offsets;
  int64_t regions;
};

// Features as they are if they are planar or channels-last, and a planar copy of any others.
Tensor evenly_spaced(const Tensor& features) {
  return is_channels_last(features) || is_planar(features) ? features : torch::stable::contiguous(features);
}

template <class T>
FeatureView<const T> view_of(const Tensor& features) {
  return {features.const_data_ptr<T>(), features.size(0), features.stride(0),
          is_channels_last(features) ? features.stride(2) : 1};
}

void check_indices(const Checks& checks, const int32_t* indices, const int64_t* offsets, int64_t regions,
                   int64_t entries, int64_t pixels) {
  check_offsets(checks, offsets, regions, entries);
  for (int64_t r = 0; r < regions; ++r) {
    bool ascending = true;
    for (int64_t i = offsets[r] + 1; i < offsets[r + 1]; ++i) ascending &= indices[i - 1] < indices[i];
    checks.that(ascending, "indices of region ", r, " are not in ascending order");
    checks.that(
        offsets[r] == offsets[r + 1] || (indices[offsets[r]] >= 0 && indices[offsets[r + 1] - 1] < pixels),
        "indices of region ", r, " go beyond the ", pixels, " pixels of features");
  }
}

template <class T>
PixelLists<T> pixel_lists(const Checks& checks, const Tensor& features, const Tensor& indices,
                          const Tensor& weights, const Tensor& offsets) {
  const PixelLists<T> pixels{indices.const_data_ptr<int32_t>(), weights.const_data_ptr<T>(),
                             offsets.const_data_ptr<int64_t>(), offsets.size(0) - 1};
  check_indices(checks, pixels.indices, pixels.offsets, pixels.regions, indices.size(0),
                features.size(1) * features.size(2));
  return pixels;
}

// ---- value

struct Chunk {
  int64_t region, begin, end;
};

// The regions' entries in chunks, ordered by region. Their length follows from the sizes alone, so that the
// sums do not depend on the number of threads.
std::vector<Chunk> split_into_chunks(const int64_t* offsets, int64_t regions) {
  // About 32 chunks keep the threads of a large machine busy, and each has a partial matrix of C^2 numbers to
  // write. Both numbers are by eye.
  constexpr int64_t kChunks = 32, kShortest = 256;
  const int64_t length = std::max<int64_t>(kShortest, round_up(offsets[regions] / kChunks, kShortest));
  std::vector<Chunk> chunks;
  for (int64_t r = 0; r < regions; ++r)
    for (int64_t begin = offsets[r]; begin < offsets[r + 1]; begin += length)
      chunks.push_back({r, begin, std::min(begin + length, offsets[r + 1])});
  return chunks;
}

// Writes one panel of columns of a Gram matrix, and its mirror image, from the sum of count partial matrices.
template <class T>
void finish_panel(const T* partials, int64_t count, int64_t column, int64_t panel, int64_t channels,
                  T* gram) {
  constexpr int64_t kTogether = 16;  // rows summed at once, so that their sums stay in the cache; by eye
  const int64_t padded = round_up(channels, panel), columns = std::min(panel, channels - column);
  const int64_t rows = column + columns;
  std::vector<double> sum(kTogether * panel);
  for (int64_t first = 0; first < rows; first += kTogether) {
    const int64_t together = std::min(kTogether, rows - first);
    // Sum, in double and in the order of the chunks.
    std::fill(sum.begin(), sum.end(), 0.0);
    for (int64_t i = 0; i < count; ++i) {
      const T* partial = partials + i * padded * padded + column * padded + first * panel;
      for (int64_t k = 0; k < together * panel; ++k) sum[k] += partial[k];
    }
    // Write the upper triangle, then its mirror image.
    for (int64_t row = 0; row < together; ++row)
      for (int64_t c = std::max<int64_t>(0, first + row - column); c < columns; ++c)
        gram[(first + row) * channels + column + c] = static_cast<T>(sum[row * panel + c]);
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t row = 0; row < std::min(together, column + c - first); ++row)
        gram[(column + c) * channels + first + row] = static_cast<T>(sum[row * panel + c]);
  }
}

template <class T>
Tensor gram_value(const Checks& checks, const Tensor& any_features, const Tensor& any_indices,
                  const Tensor& any_weights, const Tensor& any_offsets) {
  const Tensor features = evenly_spaced(any_features), indices = torch::stable::contiguous(any_indices),
               weights = torch::stable::contiguous(any_weights),
               offsets = torch::stable::contiguous(any_offsets);
  const PixelLists<T> pixels = pixel_lists<T>(checks, features, indices, weights, offsets);
  const FeatureView<const T> view = view_of<T>(features);
  const int64_t channels = view.channels;
  const Tensor out = empty_planes(features, pixels.regions, channels, channels);
  T* out_data = out.mutable_data_ptr<T>();

  const InstructionSet set = instructions_for<T>(channels);
  const int64_t panel = panel_channels<T>(set), padded = round_up(channels, panel),
                column_panels = padded / panel;
  const std::vector<Chunk> chunks = split_into_chunks(pixels.offsets, pixels.regions);

  // Number each region's chunks. A region of one chunk is finished by the task that computes it; a region of
  // several is shared among tasks, which leave partial matrices.
  std::vector<int64_t> first_chunk(pixels.regions + 1, 0), shared;
  for (const Chunk& chunk : chunks) ++first_chunk[chunk.region + 1];
  for (int64_t r = 0; r < pixels.regions; ++r) {
    if (first_chunk[r + 1] == 0) std::fill_n(out_data + r * channels * channels, channels * channels, T(0));
    if (first_chunk[r + 1] > 1) shared.push_back(r);
    first_chunk[r + 1] += first_chunk[r];
  }
  const auto chunks_of = [&](int64_t region) { return first_chunk[region + 1] - first_chunk[region]; };

  // Multiply, chunk by chunk.
  const std::unique_ptr<T[]> partials(shared.empty() ? nullptr : new T[chunks.size() * padded * padded]);
  parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t begin, int64_t end) {
    std::unique_ptr<T[]> own;
    for (int64_t i = begin; i < end; ++i) {
      const Chunk& chunk = chunks[i];
      const bool alone = chunks_of(chunk.region) == 1;
      if (alone && !own) own.reset(new T[padded * padded]);
      T* partial = alone ? own.get() : partials.get() + i * padded * padded;
      with_vectors(set, [&](auto bytes) FASTPHOTO_INLINED_LAMBDA {
        partial_gram<T, bytes>(view, pixels.indices + chunk.begin, pixels.weights + chunk.begin,
                               chunk.end - chunk.begin, partial);
      });
      for (int64_t column = 0; alone && column < channels; column += panel)
        finish_panel(partial, 1, column, panel, channels, out_data + chunk.region * channels * channels);
    }
  });

  // Add up the partial matrices of each shared region, panel by panel.
  parallel_for(0, static_cast<int64_t>(shared.size()) * column_panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t r = shared[task / column_panels];
      finish_panel(partials.get() + first_chunk[r] * padded * padded, chunks_of(r),
                   task % column_panels * panel, panel, channels, out_data + r * channels * channels);
    }
  });
  return out;
}

Tensor masked_gram(const Tensor& features, const Tensor& indices, const Tensor& weights,
                   const Tensor& offsets) {
  const Checks checks("masked_gram");
  checks.floating("features", features);
  check_gram(checks, features, indices, weights, offsets);
  return features.scalar_type() == ScalarType::Float
             ? gram_value<float>(checks, features, indices, weights, offsets)
             : gram_value<double>(checks, features, indices, weights, offsets);
}

// ---- gradient

// out[k][c] = g[k][column + c] + g[column + c][k], zero beyond the last channel.
template <class T>
void symmetrise_panel(const T* g, int64_t column, int64_t panel, int64_t channels, T* out) {
  constexpr int64_t kTogether = 16;  // rows at once, so that both readings of g meet in the cache; by eye
  const int64_t padded = round_up(channels, panel), columns = std::min(panel, channels - column);
  if (columns < panel || channels < padded) std::fill_n(out, padded * panel, T(0));
  for (int64_t first = 0; first < channels; first += kTogether) {
    const int64_t end = std::min(first + kTogether, channels);
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t k = first; k < end; ++k) out[k * panel + c] = g[(column + c) * channels + k];
    for (int64_t k = first; k < end; ++k)
      for (int64_t c = 0; c < columns; ++c) out[k * panel + c] += g[k * channels + column + c];
  }
}

template <class T>
Tensor gram_gradient(const Checks& checks, const Tensor& any_grad, const Tensor& any_features,
                     const Tensor& any_indices, const Tensor& any_weights, const Tensor& any_offsets) {
  const Tensor features = evenly_spaced(any_features), indices = torch::stable::contiguous(any_indices),
               weights = torch::stable::contiguous(any_weights),
               offsets = torch::stable::contiguous(any_offsets), grad = torch::stable::contiguous(any_grad);
  const PixelLists<T> pixels = pixel_lists<T>(checks, features, indices, weights, offsets);
  const FeatureView<const T> view = view_of<T>(features);
  const int64_t channels = view.channels, area = features.size(1) * features.size(2);
  const Tensor out = empty_like_features(features);
  const bool channels_last = is_channels_last(features);
  const FeatureView<T> out_view{out.mutable_data_ptr<T>(), channels, channels_last ? 1 : area,
                                channels_last ? channels : 1};

  const InstructionSet set = instructions_for<T>(channels);
  const int64_t panel = panel_channels<T>(set), padded = round_up(channels, panel);

  // dG + dG^T of every region, in panels of columns as the inner loops read them.
  const std::unique_ptr<T[]> symmetric(new T[pixels.regions * padded * padded]);
  const T* grad_data = grad.const_data_ptr<T>();
  parallel_for(0, pixels.regions * padded / panel, 1, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const T* g = grad_data + task / (padded / panel) * channels * channels;
      const int64_t column = task % (padded / panel) * panel;
      symmetrise_panel(g, column, panel, channels, symmetric.get() + task * panel * padded);
    }
  });

  // A task owns a range of pixels and adds the regions in their order, so that no two tasks write to one
  // pixel. There are about 32 ranges, as there are chunks above.
  const int64_t range = std::max<int64_t>(kBlockPixels, round_up(area / 32, kBlockPixels));
  parallel_for(0, (area + range - 1) / range, 1, [&](int64_t first, int64_t last) {
    std::vector<T> panels(kBlockPixels * padded, T(0));
    for (int64_t task = first; task < last; ++task) {
      const int64_t begin = task * range, end = std::min(begin + range, area);
      if (channels_last)
        std::fill(out_view.data + begin * channels, out_view.data + end * channels, T(0));
      else
        for (int64_t c = 0; c < channels; ++c)
          std::fill(out_view.data + c * area + begin, out_view.data + c * area + end, T(0));
      for (int64_t r = 0; r < pixels.regions; ++r) {
        const int32_t* start = pixels.indices + pixels.offsets[r];
        const int32_t* stop = pixels.indices + pixels.offsets[r + 1];
        const int32_t* lower = std::lower_bound(start, stop, begin);
        const int32_t* upper = std::lower_bound(lower, stop, end);
        with_vectors(set, [&](auto bytes) FASTPHOTO_INLINED_LAMBDA {
          add_gradient<T, bytes>(view, lower, pixels.weights + (lower - pixels.indices), upper - lower,
                                 symmetric.get() + r * padded * padded, out_view, panels.data());
        });
      }
    }
  });
  return out;
}

Tensor masked_gram_backward(const Tensor& grad, const Tensor& features, const Tensor& indices,
                            const Tensor& weights, const Tensor& offsets) {
  const Checks checks("masked_gram_backward");
  checks.floating("features", features);
  check_gram(checks, features, indices, weights, offsets);
  check_gram_gradient(checks, grad, features, offsets);
  return features.scalar_type() == ScalarType::Float
             ? gram_gradient<float>(checks, grad, features, indices, weights, offsets)
             : gram_gradient<double>(checks, grad, features, indices, weights, offsets);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("masked_gram", TORCH_BOX(&masked_gram));
  m.impl("masked_gram_backward", TORCH_BOX(&masked_gram_backward));
}

}  // namespace fastphoto
