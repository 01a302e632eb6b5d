// The number of threads of kernels, see parallel.h.
#include "parallel.h"

#include <torch/csrc/stable/library.h>

namespace fastphoto {
namespace {

int64_t use_threads(int64_t threads) {
  threads_of_kernels = static_cast<int>(threads);
  return number_of_threads();
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CompositeExplicitAutograd, m) {
  m.impl("use_threads", TORCH_BOX(&use_threads));
}

}  // namespace fastphoto
