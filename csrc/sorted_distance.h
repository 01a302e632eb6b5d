// The equation of the distance between sorted numbers, and the operator's argument checks.
//
// Row k of `values` and of `target` (K, N) is split into segments by `offsets` (R + 1,): region r owns the
// columns offsets[r] ... offsets[r + 1] - 1, n_r of them. In each row and segment the target is sorted. With
// the rank s(i) of value i in its row and segment, equal ones in the order of their columns:
//
//     residual_ki = v_ki - t_k,s(i),   distance_r = sum over k, i of residual_ki^2 / (K n_r),
//     d distance_r / d v_ki = 2 residual_ki / (K n_r), because the ranks are constant where no two are equal.
#pragma once

#include "checks.h"

namespace fastphoto {

inline void check_sorted_distance(const Checks& checks, const Tensor& values, const Tensor& target,
                                  const Tensor& offsets) {
  checks.shape("values", values, 2, "(K, N)");
  checks.floating("values", values);
  checks.shape("target", target, 2, "(K, N)");
  checks.that(target.size(0) == values.size(0) && target.size(1) == values.size(1), "target is ",
              Checks::describe(target), ", expected the shape of values, ", Checks::describe(values));
  checks.alike("target", target, "values", values);
  checks.that(values.size(1) < int64_t{1} << 31, "values is ", Checks::describe(values),
              ", expected fewer than 2^31 columns");
  checks.that(offsets.dim() == 1 && offsets.size(0) >= 2, "offsets is ", Checks::describe(offsets),
              ", expected (R + 1,) with R at least 1");
  checks.type("offsets", offsets, ScalarType::Long);
  checks.that(offsets.is_cpu(), "offsets is on another device, expected the CPU");
}

inline void check_segments(const Checks& checks, const int64_t* offsets, int64_t regions, int64_t columns) {
  checks.that(offsets[0] == 0 && offsets[regions] == columns, "offsets runs from ", offsets[0], " to ",
              offsets[regions], ", expected 0 to ", columns, ", the columns of values");
  for (int64_t r = 0; r < regions; ++r)
    checks.that(offsets[r] < offsets[r + 1], "offsets does not ascend at region ", r,
                ", expected ascending values");
}

}  // namespace fastphoto
