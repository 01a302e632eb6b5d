// Plain and bilateral sums over square windows on CUDA; both are symmetric and so their own gradient.
#include <torch/csrc/stable/library.h>

#include "launch.h"

namespace fastphoto {
namespace {

constexpr int kThreads = 256;

// First draft, replaced below: one thread a pixel and plane.
template <class T>
__global__ void box_kernel(const T* x, int planes, int height, int width, int64_t radius, T* out) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (n >= static_cast<int64_t>(planes) * height * width) return;
  const int column = n % width, y = n / width % height;
  const T* plane = x + n / width / height * height * width;
  double sum = 0;
  for (int64_t j = max(int64_t{0}, y - radius); j <= min(int64_t{height} - 1, y + radius); ++j)
    for (int64_t i = max(int64_t{0}, column - radius); i <= min(int64_t{width} - 1, column + radius); ++i)
      sum += plane[j * width + i];
  out[n] = static_cast<T>(sum);
}

Tensor box_sum(const Tensor& x, int64_t radius) {
  const Checks checks("box_sum");
  checks.shape("x", x, 3, "(H, W, K)");
  checks.floating("x", x);
  checks.radius(radius);
  const Launcher launch(x);
  const Tensor planes = to_planes(x), out = empty_planes(x, x.size(2), x.size(0), x.size(1));
  const int64_t blocks = ceil_divide<int64_t>(x.size(0) * x.size(1) * x.size(2), kThreads);
  if (x.scalar_type() == ScalarType::Float)
    launch(box_kernel<float>, blocks, kThreads, planes.const_data_ptr<float>(), x.size(2), x.size(0),
           x.size(1), radius, out.mutable_data_ptr<float>());
  else
    launch(box_kernel<double>, blocks, kThreads, planes.const_data_ptr<double>(), x.size(2), x.size(0),
           x.size(1), radius, out.mutable_data_ptr<double>());
  return from_planes(out);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, FASTPHOTO_CUDA_KEY, m) { m.impl("box_sum", TORCH_BOX(&box_sum)); }

}  // namespace fastphoto
