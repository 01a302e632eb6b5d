// How the CPU kernels use vector units: one binary for several instruction sets, chosen when it runs.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

// For functions and lambdas that are inlined into the work of with_vectors(), so that they are compiled for
// its instruction set.
#if defined(__GNUC__) || defined(__clang__)
#define FASTPHOTO_INLINE inline __attribute__((always_inline))
#define FASTPHOTO_INLINED_LAMBDA __attribute__((always_inline))
#else
#define FASTPHOTO_INLINE inline
#define FASTPHOTO_INLINED_LAMBDA
#endif

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#define FASTPHOTO_X86_VECTORS
#endif

namespace fastphoto {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The bytes of a vector of an instruction set.
constexpr int vector_bytes(InstructionSet set) {
  return set == InstructionSet::kAvx512 ? 64 : set == InstructionSet::kAvx2 ? 32 : 16;
}

// The best instruction set that the processor has and torch's own variable, ATEN_CPU_CAPABILITY, allows.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = [] {
    InstructionSet best = InstructionSet::kBaseline;
#if defined(FASTPHOTO_X86_VECTORS)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = InstructionSet::kAvx2;
    if (best == InstructionSet::kAvx2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
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

#if defined(FASTPHOTO_X86_VECTORS)
template <class Work>
__attribute__((target("avx2,fma"))) void run_with_avx2(const Work& work) {
  work(std::integral_constant<int, vector_bytes(InstructionSet::kAvx2)>());
}

template <class Work>
__attribute__((target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq"))) void run_with_avx512(
    const Work& work) {
  work(std::integral_constant<int, vector_bytes(InstructionSet::kAvx512)>());
}
#endif

// Calls work(bytes of a vector), compiled once for each instruction set together with all that is inlined
// into it, for the given one. `work` is a lambda marked FASTPHOTO_INLINED_LAMBDA with one argument, whose
// value is a constant expression.
//
// Every set computes the same bits, but for what multiply_add() rounds: the build forbids the compiler to
// fuse products and sums on its own. It would do so in the body of a vectorised loop and not in its rest, and
// which pixels are the rest depends on where the memory begins.
template <class Work>
void with_vectors(InstructionSet set, const Work& work) {
#if defined(FASTPHOTO_X86_VECTORS)
  if (set == InstructionSet::kAvx512) return run_with_avx512(work);
  if (set == InstructionSet::kAvx2) return run_with_avx2(work);
#endif
  work(std::integral_constant<int, vector_bytes(InstructionSet::kBaseline)>());
}

// The same for the best instruction set, and work that leaves vectors to the compiler.
template <class Work>
void vectorised(const Work& work) {
  with_vectors(instruction_set(), [&](auto) FASTPHOTO_INLINED_LAMBDA { work(); });
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
