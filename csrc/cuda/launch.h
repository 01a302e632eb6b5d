// How every CUDA kernel is launched: on the device of the tensors, on torch's current stream, and checked.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include <cstdint>
#include <limits>

#include "checks.h"
#include "layout.h"

// The dispatch key that the kernels are registered for. tests/cuda_emulation compiles the same sources for
// the CPU and defines another one.
#ifndef FASTPHOTO_CUDA_KEY
#define FASTPHOTO_CUDA_KEY CUDA
#endif

namespace fastphoto {

// The launches of one operator call. While it lives, the device of its tensor is the current one.
class Launcher {
 public:
  explicit Launcher(const Tensor& tensor) : guard_(tensor.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  // kernel<<<grid, threads>>>(arguments...). A grid without blocks is skipped: CUDA refuses it.
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

// Kernels count elements with 64 bits and pixels with 32.
inline void check_pixels(const Checks& checks, int64_t height, int64_t width) {
  checks.that(height <= std::numeric_limits<int32_t>::max() / width, "a picture of ", height, " x ", width,
              " pixels is too large for the CUDA kernels, expected fewer than 2^31 pixels");
}

template <class T>
constexpr T ceil_divide(T value, T step) {
  return (value + step - 1) / step;
}

}  // namespace fastphoto
