// Masked Gram matrices and their gradient on the CPU: how the work is cut, threaded, and reduced in a fixed
// order.
#include "masked_gram.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "gram_arguments.h"
#include "gram_tile.h"

namespace fastphoto {
namespace {

// ---- one set of inner loops per instruction set
// -----------------------------------------------------------------

template <class T>
struct InnerLoops {
  int64_t panel;
  void (*chunk)(const FeatureView<const T>&, const int32_t*, const T*, int64_t, T*);
  void (*gradient)(const FeatureView<const T>&, const int32_t*, const T*, int64_t, const T*,
                   const FeatureView<T>&, T*);
};

#define FASTPHOTO_INNER_LOOPS(T, NAME, ATTRIBUTES, BYTES, ROWS)                                 \
  ATTRIBUTES void chunk_##NAME(const FeatureView<const T>& features, const int32_t* indices,    \
                               const T* weights, int64_t count, T* partial) {                   \
    gram_chunk<T, BYTES, ROWS>(features, indices, weights, count, partial);                     \
  }                                                                                             \
  ATTRIBUTES void gradient_##NAME(const FeatureView<const T>& features, const int32_t* indices, \
                                  const T* weights, int64_t count, const T* symmetric,          \
                                  const FeatureView<T>& out, T* panels) {                       \
    gram_gradient<T, BYTES, ROWS>(features, indices, weights, count, symmetric, out, panels);   \
  }                                                                                             \
  [[maybe_unused]] constexpr InnerLoops<T> loops_##NAME(T) {                                    \
    return {2 * BYTES / sizeof(T), &chunk_##NAME, &gradient_##NAME};                            \
  }
#define FASTPHOTO_INNER_LOOPS_OF_BOTH_TYPES(NAME, ATTRIBUTES, BYTES, ROWS) \
  FASTPHOTO_INNER_LOOPS(float, NAME, ATTRIBUTES, BYTES, ROWS)              \
  FASTPHOTO_INNER_LOOPS(double, NAME, ATTRIBUTES, BYTES, ROWS)

FASTPHOTO_INNER_LOOPS_OF_BOTH_TYPES(baseline, , 16, 4)
#if defined(__x86_64__)
FASTPHOTO_INNER_LOOPS_OF_BOTH_TYPES(avx2, FASTPHOTO_AVX2, 32, 4)
FASTPHOTO_INNER_LOOPS_OF_BOTH_TYPES(avx512, FASTPHOTO_AVX512, 64, 8)
#endif

// Few channels would leave half of the widest panels empty.
template <class T>
InnerLoops<T> inner_loops(int64_t channels) {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::kAvx512 && channels > static_cast<int64_t>(64 / sizeof(T)))
    return loops_avx512(T());
  if (instruction_set() != InstructionSet::kBaseline) return loops_avx2(T());
#endif
  return loops_baseline(T());
}

// ---- arguments
// -----------------------------------------------------------------------------------------------------

// Features with evenly spaced pixels as they are, anything else as a contiguous copy.
Tensor evenly_spaced(const Tensor& features) {
  return is_channels_last(features) || is_planar(features) ? features : torch::stable::contiguous(features);
}

template <class T>
FeatureView<const T> view_of(const Tensor& features) {
  return {features.const_data_ptr<T>(), features.size(0), features.stride(0),
          is_channels_last(features) ? features.stride(2) : 1};
}

void check_plan(const Checks& checks, const int32_t* indices, const int64_t* offsets, int64_t regions,
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
RegionList<T> region_list(const Checks& checks, const Tensor& features, const Tensor& indices,
                          const Tensor& weights, const Tensor& offsets) {
  const RegionList<T> list{indices.const_data_ptr<int32_t>(), weights.const_data_ptr<T>(),
                           offsets.const_data_ptr<int64_t>(), offsets.size(0) - 1};
  check_plan(checks, list.indices, list.offsets, list.regions, indices.size(0),
             features.size(1) * features.size(2));
  return list;
}

// ---- value
// --------------------------------------------------------------------------------------------------------

struct Chunk {
  int64_t region, begin, end;
};

// Cut by sizes alone, so that the sums do not depend on the number of threads. Ordered by region.
std::vector<Chunk> cut(const int64_t* offsets, int64_t regions) {
  const int64_t length = std::max<int64_t>(256, round_up(offsets[regions] / 32, 256));
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
  constexpr int64_t kTogether = 16;
  const int64_t padded = round_up(channels, panel), columns = std::min(panel, channels - column);
  const int64_t rows = column + columns;
  std::vector<double> sum(kTogether * panel);
  for (int64_t first = 0; first < rows; first += kTogether) {
    const int64_t together = std::min(kTogether, rows - first);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (int64_t i = 0; i < count; ++i) {
      const T* partial = partials + i * padded * padded + column * padded + first * panel;
      for (int64_t k = 0; k < together * panel; ++k) sum[k] += partial[k];
    }
    for (int64_t row = 0; row < together; ++row)
      for (int64_t c = std::max<int64_t>(0, first + row - column); c < columns; ++c)
        gram[(first + row) * channels + column + c] = static_cast<T>(sum[row * panel + c]);
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t row = 0; row < std::min(together, column + c - first); ++row)
        gram[(column + c) * channels + first + row] = static_cast<T>(sum[row * panel + c]);
  }
}

template <class T>
Tensor value(const Checks& checks, const Tensor& any_features, const Tensor& any_indices,
             const Tensor& any_weights, const Tensor& any_offsets) {
  const Tensor features = evenly_spaced(any_features), indices = torch::stable::contiguous(any_indices),
               weights = torch::stable::contiguous(any_weights),
               offsets = torch::stable::contiguous(any_offsets);
  const RegionList<T> list = region_list<T>(checks, features, indices, weights, offsets);
  const FeatureView<const T> view = view_of<T>(features);
  const int64_t channels = view.channels;
  const Tensor out = empty_planes(features, list.regions, channels, channels);
  T* out_data = out.mutable_data_ptr<T>();

  const InnerLoops<T> loops = inner_loops<T>(channels);
  const int64_t panel = loops.panel, padded = round_up(channels, panel), column_panels = padded / panel;
  const std::vector<Chunk> chunks = cut(list.offsets, list.regions);
  // Regions of one chunk are finished by the task that computes it; the others leave partial matrices.
  std::vector<int64_t> first_chunk(list.regions + 1, 0), shared;
  for (const Chunk& chunk : chunks) ++first_chunk[chunk.region + 1];
  for (int64_t r = 0; r < list.regions; ++r) {
    if (first_chunk[r + 1] == 0) std::fill_n(out_data + r * channels * channels, channels * channels, T(0));
    if (first_chunk[r + 1] > 1) shared.push_back(r);
    first_chunk[r + 1] += first_chunk[r];
  }
  const auto chunks_of = [&](int64_t region) { return first_chunk[region + 1] - first_chunk[region]; };
  const std::unique_ptr<T[]> partials(shared.empty() ? nullptr : new T[chunks.size() * padded * padded]);
  torch::stable::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t begin, int64_t end) {
    std::unique_ptr<T[]> own;
    for (int64_t i = begin; i < end; ++i) {
      const Chunk& chunk = chunks[i];
      const bool alone = chunks_of(chunk.region) == 1;
      if (alone && !own) own.reset(new T[padded * padded]);
      T* partial = alone ? own.get() : partials.get() + i * padded * padded;
      loops.chunk(view, list.indices + chunk.begin, list.weights + chunk.begin, chunk.end - chunk.begin,
                  partial);
      for (int64_t column = 0; alone && column < channels; column += panel)
        finish_panel(partial, 1, column, panel, channels, out_data + chunk.region * channels * channels);
    }
  });
  torch::stable::parallel_for(
      0, static_cast<int64_t>(shared.size()) * column_panels, 1, [&](int64_t begin, int64_t end) {
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
             ? value<float>(checks, features, indices, weights, offsets)
             : value<double>(checks, features, indices, weights, offsets);
}

// ---- gradient
// -----------------------------------------------------------------------------------------------------

// out[k][c] = g[k][column + c] + g[column + c][k], zero where either does not exist.
template <class T>
void symmetrise_panel(const T* g, int64_t column, int64_t panel, int64_t channels, T* out) {
  constexpr int64_t kTogether = 16;
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
Tensor gradient(const Checks& checks, const Tensor& any_grad, const Tensor& any_features,
                const Tensor& any_indices, const Tensor& any_weights, const Tensor& any_offsets) {
  const Tensor features = evenly_spaced(any_features), indices = torch::stable::contiguous(any_indices),
               weights = torch::stable::contiguous(any_weights),
               offsets = torch::stable::contiguous(any_offsets), grad = torch::stable::contiguous(any_grad);
  const RegionList<T> list = region_list<T>(checks, features, indices, weights, offsets);
  const FeatureView<const T> view = view_of<T>(features);
  const int64_t channels = view.channels, pixels = features.size(1) * features.size(2);
  const Tensor out = empty_like_features(features);
  const bool interleaved = is_channels_last(features);
  const FeatureView<T> out_view{out.mutable_data_ptr<T>(), channels, interleaved ? 1 : pixels,
                                interleaved ? channels : 1};

  const InnerLoops<T> loops = inner_loops<T>(channels);
  const int64_t panel = loops.panel, padded = round_up(channels, panel);
  const std::unique_ptr<T[]> symmetric(new T[list.regions * padded * padded]);
  const T* grad_data = grad.const_data_ptr<T>();
  torch::stable::parallel_for(0, list.regions * padded / panel, 1, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const T* g = grad_data + task / (padded / panel) * channels * channels;
      const int64_t column = task % (padded / panel) * panel;
      symmetrise_panel(g, column, panel, channels, symmetric.get() + task * panel * padded);
    }
  });

  // A task owns a range of pixels and adds the regions in their order: no two tasks write the same place.
  const int64_t range = std::max<int64_t>(kBlockPixels, round_up(pixels / 32, kBlockPixels));
  torch::stable::parallel_for(0, (pixels + range - 1) / range, 1, [&](int64_t first, int64_t last) {
    std::vector<T> panels(kBlockPixels * padded, T(0));
    for (int64_t task = first; task < last; ++task) {
      const int64_t begin = task * range, end = std::min(begin + range, pixels);
      if (interleaved)
        std::fill(out_view.data + begin * channels, out_view.data + end * channels, T(0));
      else
        for (int64_t c = 0; c < channels; ++c)
          std::fill(out_view.data + c * pixels + begin, out_view.data + c * pixels + end, T(0));
      for (int64_t r = 0; r < list.regions; ++r) {
        const int32_t* start = list.indices + list.offsets[r];
        const int32_t* stop = list.indices + list.offsets[r + 1];
        const int32_t* lower = std::lower_bound(start, stop, begin);
        const int32_t* upper = std::lower_bound(lower, stop, end);
        loops.gradient(view, lower, list.weights + (lower - list.indices), upper - lower,
                       symmetric.get() + r * padded * padded, out_view, panels.data());
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
             ? gradient<float>(checks, grad, features, indices, weights, offsets)
             : gradient<double>(checks, grad, features, indices, weights, offsets);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("masked_gram", TORCH_BOX(&masked_gram));
  m.impl("masked_gram_backward", TORCH_BOX(&masked_gram_backward));
}

}  // namespace fastphoto
