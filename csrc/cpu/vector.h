// How the CPU kernels reach the vector units: one binary, several instruction sets, chosen when it loads.
#pragma once

#include <cstdint>

#if defined(__GNUC__)
#define FASTPHOTO_INLINE inline __attribute__((always_inline))
#else
#define FASTPHOTO_INLINE inline
#endif

// On a kernel's outermost function; whatever is inlined into it is compiled once per instruction set.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) && defined(__linux__)
#define FASTPHOTO_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FASTPHOTO_CLONES
#endif

namespace fastphoto {

// Sum in a fixed order (eight interleaved partial sums) whatever the width of the vector unit.
template <class T>
FASTPHOTO_INLINE double ordered_sum(const T* values, int64_t count) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += values[i + lane];
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace fastphoto
