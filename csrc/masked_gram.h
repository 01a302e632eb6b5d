// The work list of the masked Gram matrices that host and device share.
//
// G_r = sum over p of m_rp^2 f_p f_p^T, dF_p = sum over r of m_rp^2 (dG_r + dG_r^T) f_p. Only pixels with m >
// 0 are listed, so the cost follows the area of the regions and not their number.
#pragma once

#include <cstdint>

namespace fastphoto {

// Region r owns the entries offsets[r] ... offsets[r + 1] - 1; its indices y * W + x ascend.
template <class T>
struct RegionList {
  const int32_t* indices;
  const T* weights;
  const int64_t* offsets;
  int64_t regions;
};

// A (C, H, W) tensor whose pixels are evenly spaced in memory: either planar or channels-last.
template <class T>
struct FeatureView {
  T* data;
  int64_t channels;
  int64_t channel_stride;
  int64_t pixel_stride;
};

}  // namespace fastphoto
