// Loops that are shared among threads.
//
// Public functions of the package run PyTorch's own operators on one thread, because their bits depend on the
// number of threads, and the kernels here, whose bits do not, on all: see
// fastphoto/runtime/operator_threads.py.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <cstdint>

#if defined(__GNUC__) || defined(__clang__)
// Of the OpenMP library that PyTorch has loaded; null if it has none.
extern "C" {
__attribute__((weak)) int omp_get_max_threads();
__attribute__((weak)) void omp_set_num_threads(int);
}
#define FASTPHOTO_OPENMP
#endif

namespace fastphoto {

// The number of threads of a kernel in a thread whose other operators run on one; 0 if there is none.
inline std::atomic<int> threads_of_kernels{0};

// Gives the calling thread its kernels' threads while it lives.
class KernelThreads {
 public:
  KernelThreads() {
#if defined(FASTPHOTO_OPENMP)
    const int threads = threads_of_kernels;
    if (threads < 2 || !omp_set_num_threads || !omp_get_max_threads || omp_get_max_threads() != 1) return;
    omp_set_num_threads(threads);
    raised_ = true;
#endif
  }
  ~KernelThreads() {
#if defined(FASTPHOTO_OPENMP)
    if (raised_) omp_set_num_threads(1);
#endif
  }
  KernelThreads(const KernelThreads&) = delete;
  KernelThreads& operator=(const KernelThreads&) = delete;

 private:
  bool raised_ = false;
};

// Calls f(begin, end) for ranges of at least `grain` that together are [begin, end), in parallel.
template <class F>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const F& f) {
  const KernelThreads threads;
  torch::stable::parallel_for(begin, end, grain, f);
}

inline int64_t number_of_threads() {
  const KernelThreads threads;
  return torch::stable::get_num_threads();
}

}  // namespace fastphoto
