// How every CUDA kernel is started: on the tensors' device, on torch's current stream, each launch checked.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include <cstdint>
#include <limits>

#include "checks.h"
#include "layout.h"

// What the kernels register for. The tests compile these same sources for the CPU, with a stand-in for CUDA's
// headers, and name another key.
#ifndef FASTPHOTO_CUDA_KEY
#define FASTPHOTO_CUDA_KEY CUDA
#endif

namespace fastphoto {

// One per operator call; while it lives, its tensor's device is the current one.
class Launcher {
 public:
  explicit Launcher(const Tensor& tensor) : guard_(tensor.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  // kernel<<<grid, threads>>>(arguments...). A grid without blocks is no launch.
  template <class... Parameters, class... Arguments>
  void operator()(void (*kernel)(Parameters...), dim3 grid, dim3 threads, Arguments... arguments) const {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = threads;
    config.stream = stream_;
    STD_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_ = nullptr;
};

// Kernels number elements with 64 bits and pixels with 32.
inline void check_pixels(const Checks& checks, int64_t height, int64_t width) {
  checks.that(height <= std::numeric_limits<int32_t>::max() / width, "a picture of ", height, " x ", width,
              " pixels is too large for the CUDA kernels, wanted fewer than 2^31 pixels");
}

template <class T>
constexpr T ceil_divide(T value, T step) {
  return (value + step - 1) / step;
}

}  // namespace fastphoto
