// sRGB to CIELAB and back on the CPU, and the gradients, see colour_spaces.h.
//
// Per pixel of 4-byte numbers: a conversion reads 12 bytes and writes 12, its gradient reads 24. sRGB to
// L*a*b* takes six roots of about 20 flops each and 40 other flops, in double; back it takes three roots, of
// about 30, and three divisions.
#include "colour_spaces.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <type_traits>

#include "parallel.h"
#include "vector.h"

namespace fastphoto {
namespace {

constexpr int64_t kGrain = 4096;  // pixels for each thread at least; by eye

// out_i = convert(colour i of a, colour i of b), for `count` pixels of pictures in planes.
template <class T, class F>
FASTPHOTO_INLINE void convert_pixels(const T* __restrict a, const T* __restrict b, int64_t plane,
                                     int64_t count, T* __restrict out, const F& convert) {
  for (int64_t i = 0; i < count; ++i) {
    const Colour colour =
        convert({a[i], a[plane + i], a[2 * plane + i]}, {b[i], b[plane + i], b[2 * plane + i]});
    out[i] = static_cast<T>(colour.x);
    out[plane + i] = static_cast<T>(colour.y);
    out[2 * plane + i] = static_cast<T>(colour.z);
  }
}

template <class T, class F>
Tensor each_colour(const Tensor& any_first, const Tensor& any_second, const F& convert) {
  const Tensor first = torch::stable::contiguous(any_first), second = torch::stable::contiguous(any_second);
  const int64_t plane = first.size(1) * first.size(2);
  const Tensor out = torch::stable::new_empty(first, {3, first.size(1), first.size(2)});
  const T *first_data = first.const_data_ptr<T>(), *second_data = second.const_data_ptr<T>();
  T* out_data = out.mutable_data_ptr<T>();
  parallel_for(0, plane, kGrain, [&](int64_t begin, int64_t end) {
    vectorised([&]() FASTPHOTO_INLINED_LAMBDA {
      convert_pixels(first_data + begin, second_data + begin, plane, end - begin, out_data + begin, convert);
    });
  });
  return out;
}

template <class T>
constexpr int more_steps() {
  return std::is_same_v<T, double> ? 1 : 0;
}

template <class T>
Tensor lab_value(const Tensor& srgb) {
  return each_colour<T>(srgb, srgb, [](const Colour& c, const Colour&) FASTPHOTO_INLINED_LAMBDA {
    return lab_of_srgb<more_steps<T>()>(c);
  });
}

template <class T>
Tensor lab_gradient(const Tensor& grad, const Tensor& srgb) {
  return each_colour<T>(srgb, grad, [](const Colour& c, const Colour& g) FASTPHOTO_INLINED_LAMBDA {
    return lab_of_srgb_gradient<more_steps<T>()>(c, g);
  });
}

template <class T>
Tensor srgb_value(const Tensor& lab) {
  return each_colour<T>(lab, lab, [](const Colour& c, const Colour&) FASTPHOTO_INLINED_LAMBDA {
    return srgb_of_lab<more_steps<T>()>(c);
  });
}

template <class T>
Tensor srgb_gradient(const Tensor& grad, const Tensor& lab) {
  return each_colour<T>(lab, grad, [](const Colour& c, const Colour& g) FASTPHOTO_INLINED_LAMBDA {
    return srgb_of_lab_gradient<more_steps<T>()>(c, g);
  });
}

void check_gradient(const Checks& checks, const Tensor& grad, const char* name, const Tensor& planes) {
  check_colours(checks, name, planes);
  check_colours(checks, "grad", grad);
  checks.that(grad.size(1) == planes.size(1) && grad.size(2) == planes.size(2), "grad is ",
              Checks::describe(grad), ", expected the shape of ", name, ", ", Checks::describe(planes));
  checks.alike("grad", grad, name, planes);
}

Tensor srgb_to_lab(const Tensor& srgb) {
  check_colours(Checks("srgb_to_lab"), "srgb", srgb);
  return srgb.scalar_type() == ScalarType::Float ? lab_value<float>(srgb) : lab_value<double>(srgb);
}

Tensor srgb_to_lab_backward(const Tensor& grad, const Tensor& srgb) {
  check_gradient(Checks("srgb_to_lab_backward"), grad, "srgb", srgb);
  return srgb.scalar_type() == ScalarType::Float ? lab_gradient<float>(grad, srgb)
                                                 : lab_gradient<double>(grad, srgb);
}

Tensor lab_to_srgb(const Tensor& lab) {
  check_colours(Checks("lab_to_srgb"), "lab", lab);
  return lab.scalar_type() == ScalarType::Float ? srgb_value<float>(lab) : srgb_value<double>(lab);
}

Tensor lab_to_srgb_backward(const Tensor& grad, const Tensor& lab) {
  check_gradient(Checks("lab_to_srgb_backward"), grad, "lab", lab);
  return lab.scalar_type() == ScalarType::Float ? srgb_gradient<float>(grad, lab)
                                                : srgb_gradient<double>(grad, lab);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastphoto, CPU, m) {
  m.impl("srgb_to_lab", TORCH_BOX(&srgb_to_lab));
  m.impl("srgb_to_lab_backward", TORCH_BOX(&srgb_to_lab_backward));
  m.impl("lab_to_srgb", TORCH_BOX(&lab_to_srgb));
  m.impl("lab_to_srgb_backward", TORCH_BOX(&lab_to_srgb_backward));
}

}  // namespace fastphoto
