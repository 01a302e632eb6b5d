// How the CPU kernels use vector units: one binary for several instruction sets, chosen when it runs.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__GNUC__)
#define FASTPHOTO_INLINE inline __attribute__((always_inline))
#else
#define FASTPHOTO_INLINE inline
#endif

// For the outermost function of a kernel, which is compiled once for each instruction set, together with all
// that is inlined into it; the loader chooses.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) && defined(__linux__)
#define FASTPHOTO_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FASTPHOTO_CLONES
#endif

// For a function that is compiled for one instruction set, see instruction_set().
#define FASTPHOTO_AVX2 __attribute__((target("avx2,fma")))
#define FASTPHOTO_AVX512 __attribute__((target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")))

namespace fastphoto {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The best instruction set that the processor has and torch's own variable, ATEN_CPU_CAPABILITY, allows.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = [] {
    InstructionSet best = InstructionSet::kBaseline;
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = InstructionSet::kAvx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
      best = InstructionSet::kAvx512;
#endif
    const char* allowed = std::getenv("ATEN_CPU_CAPABILITY");
    if (allowed && std::strcmp(allowed, "default") == 0) return InstructionSet::kBaseline;
    if (allowed && std::strcmp(allowed, "avx2") == 0 && best == InstructionSet::kAvx512)
      return InstructionSet::kAvx2;
    return best;
  }();
  return chosen;
}

// The sum in an order that is the same for every width of the vector unit: eight interleaved partial sums.
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
