// Checks of the operators' arguments. A message names operator and argument, what came and what was expected.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cmath>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

namespace fastphoto {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The checks of one operator call.
class Checks {
 public:
  explicit Checks(const char* op) : op_(op) {}

  [[noreturn]] void fail(const std::string& message) const {
    throw std::runtime_error(std::string("fastphoto::") + op_ + ": " + message);
  }

  template <class... Parts>
  void that(bool holds, const Parts&... parts) const {
    if (holds) return;
    std::ostringstream message;
    (message << ... << parts);
    fail(message.str());
  }

  void shape(const char* name, const Tensor& tensor, int64_t rank, const char* expected) const {
    that(tensor.dim() == rank, name, " is ", describe(tensor), ", expected ", expected);
    for (int64_t i = 0; i < rank; ++i)
      that(tensor.size(i) > 0, name, " is ", describe(tensor), ", expected ", expected,
           " with no empty dimension");
  }

  void size(const char* name, const Tensor& tensor, int64_t dim, int64_t size, const char* expected) const {
    that(tensor.size(dim) == size, name, " is ", describe(tensor), ", expected ", expected, " with ", size,
         " in dimension ", dim);
  }

  void floating(const char* name, const Tensor& tensor) const {
    const ScalarType type = tensor.scalar_type();
    that(type == ScalarType::Float || type == ScalarType::Double, name, " has dtype ",
         torch::headeronly::toString(type), ", expected Float or Double");
  }

  void type(const char* name, const Tensor& tensor, ScalarType expected) const {
    that(tensor.scalar_type() == expected, name, " has dtype ",
         torch::headeronly::toString(tensor.scalar_type()), ", expected ",
         torch::headeronly::toString(expected));
  }

  void same_device(const char* name, const Tensor& tensor, const char* other_name,
                   const Tensor& other) const {
    that(tensor.is_cpu() == other.is_cpu() && tensor.get_device_index() == other.get_device_index(), name,
         " and ", other_name, " are on different devices");
  }

  void alike(const char* name, const Tensor& tensor, const char* other_name, const Tensor& other) const {
    that(tensor.scalar_type() == other.scalar_type(), name, " has dtype ",
         torch::headeronly::toString(tensor.scalar_type()), ", expected that of ", other_name, ", ",
         torch::headeronly::toString(other.scalar_type()));
    same_device(name, tensor, other_name, other);
  }

  // An (H, W, 3) picture with sides of at least `smallest` pixels.
  void picture(const char* name, const Tensor& tensor, int64_t smallest) const {
    shape(name, tensor, 3, "(H, W, 3)");
    size(name, tensor, 2, 3, "(H, W, 3)");
    that(tensor.size(0) >= smallest && tensor.size(1) >= smallest, name, " is ", describe(tensor),
         ", expected (H, W, 3) with H and W at least ", smallest);
    floating(name, tensor);
  }

  void same_picture_size(const char* name, const Tensor& tensor, const char* other_name,
                         const Tensor& other) const {
    that(tensor.size(0) == other.size(0) && tensor.size(1) == other.size(1), name, " is ", describe(tensor),
         ", expected the height and width of ", other_name, ", ", describe(other));
  }

  void positive(const char* name, double value) const {
    that(value > 0 && std::isfinite(value), name, " is ", value, ", expected a finite number above 0");
  }

  void positive_or_infinite(const char* name, double value) const {
    that(value > 0, name, " is ", value, ", expected a number above 0, or infinity");
  }

  void radius(int64_t value) const {
    that(value >= 0 && value <= (int64_t{1} << 20), "radius is ", value, ", expected 0 or more pixels");
  }

  static std::string describe(const Tensor& tensor) {
    std::ostringstream text;
    text << "(";
    for (int64_t i = 0; i < tensor.dim(); ++i) text << (i ? ", " : "") << tensor.size(i);
    text << (tensor.dim() == 1 ? ",)" : ")");
    return text.str();
  }

 private:
  const char* op_;
};

}  // namespace fastphoto
