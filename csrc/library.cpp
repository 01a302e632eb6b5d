// The schemas of all operators, and the module's own functions: build_info() and list_pixels().
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <torch/csrc/stable/library.h>
#include <torch/headeronly/version.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#ifdef FASTPHOTO_CUDA
#include <cuda_runtime_api.h>
#endif

namespace py = pybind11;

STABLE_TORCH_LIBRARY(fastphoto, m) {
  // image (H, W, 3), x (H, W, K) -> L x (H, W, K); the energy, sum_k x_k^T L x_k, comes before it.
  m.def("matting_laplacian(Tensor image, Tensor x, float epsilon) -> Tensor");
  m.def("matting_laplacian_energy(Tensor image, Tensor x, float epsilon) -> (Tensor, Tensor)");
  // image (H, W, 3) -> stencil (12, H, W)
  m.def("matting_laplacian_stencil(Tensor image, float epsilon) -> Tensor");
  m.def("stencil_product(Tensor stencil, Tensor x) -> Tensor");
  m.def("stencil_energy(Tensor stencil, Tensor x) -> (Tensor, Tensor)");
  // features (C, H, W), indices (P,) int32, weights (P,), offsets (R + 1,) int64 on the CPU -> (R, C, C)
  m.def("masked_gram(Tensor features, Tensor indices, Tensor weights, Tensor offsets) -> Tensor");
  m.def(
      "masked_gram_backward(Tensor grad, Tensor features, Tensor indices, Tensor weights, Tensor offsets) -> "
      "Tensor");
  // content (H, W, 3), result (H, W, 3) -> maps (H, W, 3, 4); maps can be applied to content of any size.
  m.def("local_affine_fit(Tensor content, Tensor result, int radius, float epsilon) -> Tensor");
  m.def("local_affine_fit_backward(Tensor grad, Tensor content, int radius, float epsilon) -> Tensor");
  m.def("local_affine_apply(Tensor maps, Tensor content) -> Tensor");
  // a (A, N), b (B, N) -> (A, B) double
  m.def("inner_products(Tensor a, Tensor b) -> Tensor");
  // x (B, C, H, W), channels-last, after a ReLU -> (B, C, h, w); the gradient is the one before the ReLU.
  m.def("max_pool(Tensor x, bool ceil) -> Tensor");
  m.def("max_pool_backward(Tensor grad, Tensor x) -> Tensor");
  // Only on the CPU: weight (O, I, 3, 3) -> weights (36, panels, I, 16); x (B, I, H, W) -> (B, O, h, w).
  m.def("convolution_weights(Tensor weight) -> Tensor");
  m.def(
      "convolution(Tensor x, Tensor weights, Tensor? bias, int out_channels, int padding, bool reflect, "
      "bool relu) -> Tensor");
  // x (H, W, K) -> (H, W, K)
  m.def("box_sum(Tensor x, int radius) -> Tensor");
  m.def("bilateral_sum(Tensor guide, Tensor x, int radius, float sigma_space, float sigma_colour) -> Tensor");
}

namespace {

// (R, N) masks -> indices (P,), weights (P,), offsets (R + 1,): the pixels with mask > 0, region by region.
template <class T>
py::tuple list_pixels(const py::array_t<T, py::array::c_style>& masks) {
  if (masks.ndim() != 2) throw std::invalid_argument("masks must be (R, N)");
  const int64_t regions = masks.shape(0), pixels = masks.shape(1);
  if (pixels > std::numeric_limits<int32_t>::max())
    throw std::invalid_argument("masks have more pixels than an int32 index can name");
  const T* values = masks.data();
  py::array_t<int64_t> offsets(regions + 1);
  int64_t* offset = offsets.mutable_data();
  offset[0] = 0;
  for (int64_t r = 0; r < regions; ++r) {
    int64_t listed = 0, usable = 0;
    for (int64_t i = 0; i < pixels; ++i) {
      const T m = values[r * pixels + i];
      listed += m > 0;
      usable += m >= 0 && m <= std::numeric_limits<T>::max();
    }
    if (usable != pixels)
      throw std::invalid_argument("masks hold a value of region " + std::to_string(r) +
                                  " that is negative or not finite");
    offset[r + 1] = offset[r] + listed;
  }
  // One entry more than needed, because the loop below writes an entry before it knows whether to keep it.
  py::array_t<int32_t> indices(offset[regions] + 1);
  py::array_t<T> weights(offset[regions] + 1);
  int32_t* index = indices.mutable_data();
  T* weight = weights.mutable_data();
  for (int64_t r = 0; r < regions; ++r) {
    int64_t entry = offset[r];
    for (int64_t i = 0; i < pixels && entry < offset[r + 1]; ++i) {
      const T m = values[r * pixels + i];
      index[entry] = static_cast<int32_t>(i);
      weight[entry] = m;
      entry += m > 0;
    }
  }
  const py::slice listed(0, offset[regions], 1);
  return py::make_tuple(indices[listed], weights[listed], offsets);
}

py::dict build_info() {
  py::dict info;
  info["version"] = FASTPHOTO_VERSION;
  info["torch"] = TORCH_VERSION;
#if defined(__clang__)
  info["compiler"] = "Clang " __clang_version__;
#elif defined(__GNUC__)
  info["compiler"] = "GCC " __VERSION__;
#else
  info["compiler"] = "unknown";
#endif
#ifdef FASTPHOTO_CUDA
  info["cuda"] = std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
#else
  info["cuda"] = py::none();
#endif
  py::list features;
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx2")) features.append("avx2");
  if (__builtin_cpu_supports("fma")) features.append("fma");
  if (__builtin_cpu_supports("avx512f")) features.append("avx512f");
  if (__builtin_cpu_supports("avx512bw")) features.append("avx512bw");
  if (__builtin_cpu_supports("avx512dq")) features.append("avx512dq");
  if (__builtin_cpu_supports("avx512vl")) features.append("avx512vl");
#endif
  info["cpu_features"] = features;
  return info;
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "Native operators of fastphoto; call them through fastphoto.ops.";
  m.def("build_info", &build_info);
  m.def("list_pixels", &list_pixels<float>, py::arg("masks").noconvert());
  m.def("list_pixels", &list_pixels<double>, py::arg("masks").noconvert());
}
