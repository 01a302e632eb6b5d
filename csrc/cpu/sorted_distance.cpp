// The distance between sorted numbers on the CPU, see sorted_distance.h: a radix sort of each row and
// segment.
//
// The keys are the bits of the numbers, in an order that keeps theirs, and carry the column. Per value of 4
// bytes: one pass counts the digits of 11 bits, and three passes read 8 bytes and write 8, all in the cache
// for some ten thousand values; 12 bytes come from memory or go there, and there are 3 flops. A comparison
// sort takes log2 n passes with a branch that no processor can predict.
#include "sorted_distance.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <array>
#include <cstring>
#include <tuple>
#include <vector>

#include "parallel.h"

namespace fastphoto {
namespace {

constexpr int kDigitBits = 11;  // three passes for 32 bits; 2048 counters stay in the first cache
constexpr int kDigits = 1 << kDigitBits;

template <class T>
struct KeyOf;
template <>
struct KeyOf<float> {
  using Type = uint32_t;
};
template <>
struct KeyOf<double> {
  using Type = uint64_t;
};

// Bits that ascend as the numbers do: negative numbers are stored as magnitudes, and so are turned around.
template <class T>
typename KeyOf<T>::Type ascending_key(T value) {
  using Key = typename KeyOf<T>::Type;
  Key bits;
  std::memcpy(&bits, &value, sizeof(bits));
  constexpr Key sign = Key{1} << (8 * sizeof(Key) - 1);
  return bits & sign ? ~bits : bits | sign;
}

// A sort of rows, with its memory.
template <class T>
class RadixSort {
 public:
  // Writes residuals v_i - t_s(i) of one row and segment, and returns the sum of their squares.
  double residuals(const T* values, const T* target, int64_t count, T* out) {
    sort(values, count);
    for (int64_t rank = 0; rank < count; ++rank) {
      const uint32_t i = entries_[rank].column;
      out[i] = values[i] - target[rank];
    }
    double sums[4] = {};
    for (int64_t i = 0; i < count; ++i) sums[i % 4] += static_cast<double>(out[i]) * out[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }

 private:
  using Key = typename KeyOf<T>::Type;
  struct Entry {
    Key key;
    uint32_t column;
  };
  static constexpr int kPasses = (8 * sizeof(Key) + kDigitBits - 1) / kDigitBits;

  static int64_t digit(Key key, int pass) { return key >> (pass * kDigitBits) & (kDigits - 1); }

  void sort(const T* values, int64_t count) {
    entries_.resize(count);
    spare_.resize(count);
    counts_.assign(kPasses * kDigits, 0);
    for (int64_t i = 0; i < count; ++i) {
      const Key key = ascending_key(values[i]);
      entries_[i] = {key, static_cast<uint32_t>(i)};
      for (int pass = 0; pass < kPasses; ++pass) ++counts_[pass * kDigits + digit(key, pass)];
    }
    for (int pass = 0; pass < kPasses; ++pass) {
      uint32_t* places = counts_.data() + pass * kDigits;
      if (places[digit(entries_[0].key, pass)] == count) continue;  // all keys have the same digit
      uint32_t before = 0;
      for (int d = 0; d < kDigits; ++d) {
        const uint32_t here = places[d];
        places[d] = before;
        before += here;
      }
      for (const Entry& entry : entries_) spare_[places[digit(entry.key, pass)]++] = entry;
      entries_.swap(spare_);
    }
  }

  std::vector<Entry> entries_, spare_;
  std::vector<uint32_t> counts_;
};

template <class T>
std::tuple<Tensor, Tensor> distances(const Tensor& any_values, const Tensor& any_target,
                                     const int64_t* offsets, int64_t regions) {
  const Tensor values = torch::stable::contiguous(any_values), target = torch::stable::contiguous(any_target);
  const int64_t rows = values.size(0), columns = values.size(1);
  const Tensor residual = torch::stable::new_empty(values, {rows, columns});
  const Tensor distance = torch::stable::new_empty(values, {regions});
  const T *value_data = values.const_data_ptr<T>(), *target_data = target.const_data_ptr<T>();
  T *residual_data = residual.mutable_data_ptr<T>(), *distance_data = distance.mutable_data_ptr<T>();
  std::vector<double> sums(regions * rows);
  parallel_for(0, regions * rows, 1, [&](int64_t first, int64_t last) {
    RadixSort<T> sort;
    for (int64_t n = first; n < last; ++n) {
      const int64_t r = n / rows, at = n % rows * columns + offsets[r];
      sums[n] =
          sort.residuals(value_data + at, target_data + at, offsets[r + 1] - offsets[r], residual_data + at);
    }
  });
  for (int64_t r = 0; r < regions; ++r) {
    double total = 0;
    for (int64_t k = 0; k < rows; ++k) total += sums[r * rows + k];
    distance_data[r] = static_cast<T>(total / static_cast<double>(rows * (offsets[r + 1] - offsets[r])));
  }
  return {distance, residual};
}

std::tuple<Tensor, Tensor> sorted_distance(const Tensor& values, const Tensor& target,
                                           const Tensor& any_offsets) {
  const Checks checks("sorted_distance");
  check_sorted_distance(checks, values, target, any_offsets);
  const Tensor offsets = torch::stable::contiguous(any_offsets);
  const int64_t* bounds = offsets.const_data_ptr<int64_t>();
  const int64_t regions = offsets.size(0) - 1;
  check_segments(checks, bounds, regions, values.size(1));
  return values.scalar_type() == ScalarType::Float ? distances<float>(values, target, bounds, regions)
                                                   : distances<double>(values, target, bounds, regions);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) { m.impl("sorted_distance", TORCH_BOX(&sorted_distance)); }

}  // namespace fastphoto
