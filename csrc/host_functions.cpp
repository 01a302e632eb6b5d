// The native functions that are no operators of PyTorch, for one version of Python: build_info(),
// list_pixels().
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <torch/headeronly/version.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#ifdef FASTPHOTO_CUDA
#include <cuda_runtime_api.h>
#endif

#include "cpu/vector.h"

namespace py = pybind11;

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
  const char* const sets[] = {"baseline", "avx2", "avx512"};
  info["instruction_set"] = sets[static_cast<int>(fastphoto::instruction_set())];
  py::list features;
#if defined(FASTPHOTO_X86_VECTORS)
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
  m.doc() = "Native functions of fastphoto that are no operators; call them through fastphoto.ops.";
  m.def("build_info", &build_info);
  m.def("list_pixels", &list_pixels<float>, py::arg("masks").noconvert());
  m.def("list_pixels", &list_pixels<double>, py::arg("masks").noconvert());
}
