// Masked Gram matrices and their gradient on CUDA: how the work is split among blocks and summed in a fixed
// order. Staging features in shared memory and multiplying tiles of them are in gram_tile.cuh.
//
// G_r = sum over p of m_rp^2 f_p f_p^T. Per listed pixel of C channels of b bytes: C b bytes read for each 64
// columns of the lower triangle (once from memory, then from the cache), C (C + 64) flops. The sum is split
// along the pixels, and a second kernel adds the parts: no atomics, the same bits in every run.
//
// dF_p = sum over r of m_rp^2 (dG_r + dG_r^T) f_p. Per pixel: C b bytes read for each 64 channels written,
// and 2 C^2 flops for each region with a pixel among the 16 that a warp multiplies. Values are written once.
//
// Sizes and `offsets` are all that comes from the host, so that both can be captured in a CUDA graph.
#include <torch/csrc/stable/library.h>

#include <algorithm>

#include "gram_tile.cuh"
#include "masked_gram.h"

namespace fastphoto {
namespace {

constexpr int kRegions = 64;  // regions of one launch; more take several launches
constexpr int kBlocks = 528;  // blocks that a launch should have: four for each multiprocessor of an H100
constexpr int kShared = 40 * 1024;  // most bytes of shared memory that a block uses

// Up to kRegions regions and the chunks that their entries are split into. Kernels get it by value, because a
// CUDA graph stores their arguments.
struct ChunkTable {
  int64_t offset[kRegions + 1];   // each region's first entry
  int first_chunk[kRegions + 1];  // number of each region's first chunk
  int regions;
  int64_t length;  // entries of a chunk
};

// ---- value

// Row and column, in tiles, of tile number `pair` of the lower triangle.
__device__ inline void triangle_tile(int pair, int& row, int& column) {
  row = 0;
  while ((row + 1) * (row + 2) / 2 <= pair) ++row;
  column = pair - row * (row + 1) / 2;
}

// Block (chunk, pair): partial[chunk][pair], the kTile x kTile products of two groups of channels over one
// chunk of a region's pixels.
template <class T>
__global__ void __launch_bounds__(kGramThreads)
    gram_kernel(Pixels<T> f, const int32_t* indices, const typename Tile<T>::Sum* weights, ChunkTable table,
                typename Tile<T>::Sum* partial) {
  using Sum = typename Tile<T>::Sum;
  constexpr int stride = kTile + Tile<T>::kPad, lanes = kLanes<T>, groups = kTile / lanes;
  static_assert(2 * kDepth * stride * sizeof(T) <= kShared, "too much shared memory");
  __shared__ __align__(32) T left[kDepth * stride];
  __shared__ __align__(32) T right[kDepth * stride];
  // Find the block's region, pixels and channels.
  const int chunk = blockIdx.x;
  int region = 0;
  while (region + 1 < table.regions && table.first_chunk[region + 1] <= chunk) ++region;
  const int64_t begin = table.offset[region] + (chunk - table.first_chunk[region]) * table.length;
  const int64_t end = min(begin + table.length, table.offset[region + 1]);
  int row, column;
  triangle_tile(blockIdx.y, row, column);

  Tile<T> tile;
  for (int64_t first = begin; first < end; first += kDepth) {
    // Load the mask values of kDepth pixels, and stage their features times these, m f, for both factors.
    for (int n = threadIdx.x; n < kDepth * groups; n += kGramThreads) {
      const int entry = n / groups, channel = n % groups * lanes;
      int64_t pixel = 0;
      Sum weight = 0;
      if (first + entry < end) {
        pixel = indices[first + entry];
        if (pixel >= 0 && pixel < f.count) weight = weights[first + entry];
      }
      stage(f, pixel, row * kTile + channel, weight, left + entry * stride + channel);
      if (row != column) stage(f, pixel, column * kTile + channel, weight, right + entry * stride + channel);
    }
    __syncthreads();
    // Multiply, before the next pixels overwrite these.
    tile.template multiply<Order::kDepthFirst>(left, stride, row == column ? left : right, stride);
    __syncthreads();
  }
  // Write the partial sums.
  tile.store(partial + (static_cast<int64_t>(chunk) * gridDim.y + blockIdx.y) * (kTile * kTile), kTile);
}

// One thread for each element of a tile adds the chunks of its region, and writes G and its mirror image.
template <class Sum>
__global__ void __launch_bounds__(kGramThreads)
    add_chunks_kernel(const Sum* partial, ChunkTable table, int channels, Sum* gram) {
  constexpr int blocks = kTile * kTile / kGramThreads;
  const int region = blockIdx.y, pair = blockIdx.x / blocks, pairs = gridDim.x / blocks;
  const int element = static_cast<int>(blockIdx.x % blocks * kGramThreads + threadIdx.x);
  int row, column;
  triangle_tile(pair, row, column);
  const int i = row * kTile + element / kTile, j = column * kTile + element % kTile;
  if (i >= channels || j > i) return;
  double sum = 0;
  for (int chunk = table.first_chunk[region]; chunk < table.first_chunk[region + 1]; ++chunk)
    sum += partial[(static_cast<int64_t>(chunk) * pairs + pair) * (kTile * kTile) + element];
  Sum* own = gram + static_cast<int64_t>(region) * channels * channels;
  own[static_cast<int64_t>(i) * channels + j] = static_cast<Sum>(sum);
  own[static_cast<int64_t>(j) * channels + i] = static_cast<Sum>(sum);
}

// (C, H, W) features in channels-last memory; a copy unless they are already.
Tensor channels_last(const Tensor& features) {
  if (is_channels_last(features)) return features;
  const Tensor rows = torch::stable::transpose(torch::stable::transpose(features, 0, 2), 0, 1);  // (H, W, C)
  return planes_view(torch::stable::contiguous(rows));
}

template <class T>
Pixels<T> pixels_of(const Tensor& features) {
  const int64_t stride = features.size(0) > 1 ? features.stride(2) : std::max<int64_t>(1, features.stride(2));
  const T* data = static_cast<const T*>(features.data_ptr());
  return {data, stride, static_cast<int>(features.size(1) * features.size(2)),
          static_cast<int>(features.size(0)), aligned(data) && stride % kLanes<T> == 0};
}

// Splits the entries so that there are about kBlocks blocks, but no full chunk has less than 256 entries, by
// eye. `pairs` is the number of blocks for each chunk.
ChunkTable split_into_chunks(const int64_t* offsets, int64_t regions, int64_t pairs) {
  ChunkTable table{};
  table.regions = static_cast<int>(regions);
  const int64_t entries = offsets[regions] - offsets[0];
  table.length = std::max<int64_t>(
      256, ceil_divide(ceil_divide(entries * pairs, int64_t{kBlocks}), int64_t{kDepth}) * kDepth);
  for (int64_t r = 0; r <= regions; ++r) table.offset[r] = offsets[r];
  for (int64_t r = 0; r < regions; ++r)
    table.first_chunk[r + 1] =
        table.first_chunk[r] + static_cast<int>(ceil_divide(offsets[r + 1] - offsets[r], table.length));
  return table;
}

void check_sizes(const Checks& checks, const Tensor& features) {
  check_pixels(checks, features.size(1), features.size(2));
  checks.that(features.size(0) <= 16384, "features is ", Checks::describe(features),
              ", expected at most 16384 channels");
}

template <class T>
Tensor gram_value(const Checks& checks, const Tensor& any_features, const Tensor& any_indices,
                  const Tensor& any_weights, const Tensor& any_offsets) {
  using Sum = typename Tile<T>::Sum;
  check_sizes(checks, any_features);
  const Launcher launch(any_features);
  const Tensor features = channels_last(any_features), indices = torch::stable::contiguous(any_indices),
               weights = torch::stable::contiguous(any_weights),
               offsets = torch::stable::contiguous(any_offsets);
  const int64_t regions = offsets.size(0) - 1, channels = features.size(0);
  const int64_t* offset = offsets.const_data_ptr<int64_t>();
  check_offsets(checks, offset, regions, indices.size(0));
  const Tensor out = torch::stable::new_empty(weights, {regions, channels, channels});
  const int64_t tiles = ceil_divide(channels, int64_t{kTile}), pairs = tiles * (tiles + 1) / 2;
  for (int64_t first = 0; first < regions; first += kRegions) {
    const ChunkTable table =
        split_into_chunks(offset + first, std::min<int64_t>(kRegions, regions - first), pairs);
    const int64_t chunks = table.first_chunk[table.regions];
    const Tensor partial =
        torch::stable::new_empty(weights, {std::max<int64_t>(1, chunks), pairs, kTile, kTile});
    launch(gram_kernel<T>, dim3(static_cast<unsigned>(chunks), static_cast<unsigned>(pairs)), kGramThreads,
           pixels_of<T>(features), indices.const_data_ptr<int32_t>(), weights.const_data_ptr<Sum>(), table,
           partial.mutable_data_ptr<Sum>());
    launch(add_chunks_kernel<Sum>,
           dim3(static_cast<unsigned>(pairs * (kTile * kTile / kGramThreads)),
                static_cast<unsigned>(table.regions)),
           kGramThreads, partial.const_data_ptr<Sum>(), table, static_cast<int>(channels),
           out.mutable_data_ptr<Sum>() + first * channels * channels);
  }
  return out;
}

void check_type(const Checks& checks, const Tensor& features) {
  if (features.scalar_type() != ScalarType::BFloat16) checks.floating("features", features);
}

Tensor masked_gram(const Tensor& features, const Tensor& indices, const Tensor& weights,
                   const Tensor& offsets) {
  const Checks checks("masked_gram");
  check_type(checks, features);
  check_gram(checks, features, indices, weights, offsets);
  switch (features.scalar_type()) {
    case ScalarType::Float:
      return gram_value<float>(checks, features, indices, weights, offsets);
    case ScalarType::Double:
      return gram_value<double>(checks, features, indices, weights, offsets);
    default:
      return gram_value<__nv_bfloat16>(checks, features, indices, weights, offsets);
  }
}

// ---- gradient

// out[r][k][c] = g[r][k][c] + g[r][c][k] in the type of the features, with rows of `stride` numbers.
template <class T>
__global__ void __launch_bounds__(kGramThreads)
    symmetrise_kernel(const typename Tile<T>::Sum* grad, int64_t values, int channels, int stride, T* out) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kGramThreads + threadIdx.x;
  if (n >= values) return;
  const int column = static_cast<int>(n % stride), row = static_cast<int>(n / stride % channels);
  const typename Tile<T>::Sum* own = grad + n / stride / channels * channels * channels;
  typename Tile<T>::Sum sum = 0;
  if (column < channels)
    sum = own[static_cast<int64_t>(row) * channels + column] +
          own[static_cast<int64_t>(column) * channels + row];
  set(out[n], sum);
}

// starts[r][t] = the first entry of region r whose pixel lies in tile t of kTile pixels, or in a later one.
// Each entry writes the tiles after the previous entry's, up to its own.
__global__ void __launch_bounds__(kGramThreads)
    tile_starts_kernel(const int32_t* indices, ChunkTable table, int tiles, int64_t* starts) {
  const int region = blockIdx.y;
  const int64_t begin = table.offset[region], end = table.offset[region + 1];
  const int64_t entry = begin + static_cast<int64_t>(blockIdx.x) * kGramThreads + threadIdx.x;
  if (entry > end) return;
  int64_t* own = starts + static_cast<int64_t>(region) * (tiles + 1);
  const int before = entry > begin ? indices[entry - 1] / kTile : -1;
  const int tile = entry < end ? indices[entry] / kTile : tiles;
  for (int t = max(before + 1, 0); t <= min(tile, tiles); ++t) own[t] = entry;
}

// Block (tile of pixels, tile of channels): out[p][c] = sum over r of m_rp^2 sum over k of f_pk S_r[k][c],
// with S = dG + dG^T. The shared memory of the two factors holds the sums in the end.
template <class T>
__global__ void __launch_bounds__(kGramThreads)
    gram_gradient_kernel(Pixels<T> f, const int32_t* indices, const typename Tile<T>::Sum* weights,
                         ChunkTable table, const int64_t* starts, const T* symmetric, int symmetric_stride,
                         bool add, T* out, int64_t out_stride) {
  using Sum = typename Tile<T>::Sum;
  constexpr int lanes = kLanes<T>, pad = Tile<T>::kPad;
  constexpr int f_stride = kDepth + pad, s_stride = kTile + pad, sum_stride = kTile + pad;
  constexpr int f_size = kTile * f_stride, s_size = kDepth * s_stride;
  constexpr size_t staged = (f_size + s_size) * sizeof(T), summed = kTile * sum_stride * sizeof(Sum);
  static_assert(staged <= kShared && summed <= kShared, "too much shared memory");
  __shared__ __align__(32) unsigned char shared[staged > summed ? staged : summed];
  __shared__ Sum scale[kTile];         // m^2 of each pixel of the tile
  __shared__ int present[kTile / 16];  // whether the region has any of each 16 pixels
  T* const features = reinterpret_cast<T*>(shared);
  T* const factors = features + f_size;
  Sum* const sums = reinterpret_cast<Sum*>(shared);
  const int tiles = gridDim.x, thread = threadIdx.x;
  const int64_t first_pixel = static_cast<int64_t>(blockIdx.x) * kTile;
  const int first_channel = blockIdx.y * kTile;

  Tile<T> tile;
  for (int region = 0; region < table.regions; ++region) {
    const int64_t* own = starts + static_cast<int64_t>(region) * (tiles + 1) + blockIdx.x;
    const int64_t begin = max(own[0], table.offset[region]), end = min(own[1], table.offset[region + 1]);
    if (begin >= end) continue;  // the same for the whole block
    // Load the region's mask on this tile.
    if (thread < kTile) scale[thread] = 0;
    if (thread < kTile / 16) present[thread] = 0;
    __syncthreads();
    for (int64_t entry = begin + thread; entry < end; entry += kGramThreads) {
      const int64_t pixel = indices[entry] - first_pixel;
      if (pixel < 0 || pixel >= kTile || first_pixel + pixel >= f.count) continue;
      scale[pixel] = weights[entry] * weights[entry];
      present[pixel / 16] = 1;
    }
    __syncthreads();
    for (int depth = 0; depth < f.channels; depth += kDepth) {
      // Stage m^2 f of the tile's pixels, kDepth channels of them.
      for (int n = thread; n < kTile * (kDepth / lanes); n += kGramThreads) {
        const int pixel = n / (kDepth / lanes), channel = n % (kDepth / lanes) * lanes;
        stage(f, first_pixel + pixel, depth + channel, scale[pixel], features + pixel * f_stride + channel);
      }
      // Stage kDepth rows of S, whose rows are read like pixels.
      const Pixels<T> rows{symmetric + static_cast<int64_t>(region) * f.channels * symmetric_stride,
                           symmetric_stride, f.channels, symmetric_stride, true};
      for (int n = thread; n < kDepth * (kTile / lanes); n += kGramThreads) {
        const int k = n / (kTile / lanes), channel = n % (kTile / lanes) * lanes;
        stage(rows, depth + k, first_channel + channel, depth + k < f.channels ? Sum(1) : Sum(0),
              factors + k * s_stride + channel);
      }
      __syncthreads();
      // Multiply, where the region has any of a warp's pixels.
      if (present[Tile<T>::row() / 16])
        tile.template multiply<Order::kRowFirst>(features, f_stride, factors, s_stride);
      __syncthreads();
    }
  }
  // Write the sums, or add them to the sums of earlier launches.
  tile.store(sums, sum_stride);
  __syncthreads();
  for (int n = thread; n < kTile * kTile; n += kGramThreads) {
    const int pixel = n / kTile, channel = first_channel + n % kTile;
    if (first_pixel + pixel >= f.count || channel >= f.channels) continue;
    T& to = out[(first_pixel + pixel) * out_stride + channel];
    const Sum sum = sums[pixel * sum_stride + n % kTile];
    set(to, add ? number(to) + sum : sum);
  }
}

template <class T>
Tensor gram_gradient(const Checks& checks, const Tensor& any_grad, const Tensor& any_features,
                     const Tensor& any_indices, const Tensor& any_weights, const Tensor& any_offsets) {
  using Sum = typename Tile<T>::Sum;
  check_sizes(checks, any_features);
  const Launcher launch(any_features);
  const Tensor features = channels_last(any_features), indices = torch::stable::contiguous(any_indices),
               weights = torch::stable::contiguous(any_weights),
               offsets = torch::stable::contiguous(any_offsets), grad = torch::stable::contiguous(any_grad);
  const int64_t regions = offsets.size(0) - 1, channels = features.size(0);
  const int64_t height = features.size(1), width = features.size(2);
  const int64_t* offset = offsets.const_data_ptr<int64_t>();
  check_offsets(checks, offset, regions, indices.size(0));
  const Tensor dense = empty_planes(features, height, width, channels);  // (H, W, C)
  const int64_t tiles = ceil_divide(height * width, int64_t{kTile});
  const int64_t stride = ceil_divide(channels, int64_t{kLanes<T>}) * kLanes<T>;
  T* out = static_cast<T*>(dense.data_ptr());
  for (int64_t first = 0; first < regions; first += kRegions) {
    const ChunkTable table =
        split_into_chunks(offset + first, std::min<int64_t>(kRegions, regions - first), 1);
    int64_t most = 0;
    for (int r = 0; r < table.regions; ++r) most = std::max(most, table.offset[r + 1] - table.offset[r]);
    const Tensor symmetric = torch::stable::new_empty(features, {table.regions, channels, stride});
    const Tensor starts = torch::stable::new_empty(indices, {table.regions, tiles + 1}, ScalarType::Long);
    const int64_t values = table.regions * channels * stride;
    T* factors = static_cast<T*>(symmetric.data_ptr());
    launch(symmetrise_kernel<T>, static_cast<unsigned>(ceil_divide(values, int64_t{kGramThreads})),
           kGramThreads, grad.const_data_ptr<Sum>() + first * channels * channels, values,
           static_cast<int>(channels), static_cast<int>(stride), factors);
    launch(tile_starts_kernel,
           dim3(static_cast<unsigned>(ceil_divide(most + 1, int64_t{kGramThreads})),
                static_cast<unsigned>(table.regions)),
           kGramThreads, indices.const_data_ptr<int32_t>(), table, static_cast<int>(tiles),
           starts.mutable_data_ptr<int64_t>());
    launch(gram_gradient_kernel<T>,
           dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(ceil_divide(channels, int64_t{kTile}))),
           kGramThreads, pixels_of<T>(features), indices.const_data_ptr<int32_t>(),
           weights.const_data_ptr<Sum>(), table, starts.const_data_ptr<int64_t>(),
           static_cast<const T*>(factors), static_cast<int>(stride), first > 0, out, channels);
  }
  const Tensor view = planes_view(dense);
  return is_channels_last(any_features) ? view : torch::stable::contiguous(view);
}

Tensor masked_gram_backward(const Tensor& grad, const Tensor& features, const Tensor& indices,
                            const Tensor& weights, const Tensor& offsets) {
  const Checks checks("masked_gram_backward");
  check_type(checks, features);
  check_gram(checks, features, indices, weights, offsets);
  check_gram_gradient(checks, grad, features, offsets);
  switch (features.scalar_type()) {
    case ScalarType::Float:
      return gram_gradient<float>(checks, grad, features, indices, weights, offsets);
    case ScalarType::Double:
      return gram_gradient<double>(checks, grad, features, indices, weights, offsets);
    default:
      return gram_gradient<__nv_bfloat16>(checks, grad, features, indices, weights, offsets);
  }
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) {
  m.impl("masked_gram", TORCH_BOX(&masked_gram));
  m.impl("masked_gram_backward", TORCH_BOX(&masked_gram_backward));
}

}  // namespace fastphoto
