// Asynchronous copies for the emulation. A copy lands when it is waited for and not before, so that a missing
// wait gives wrong results.
#pragma once

#include <deque>

#include "cuda_runtime.h"

namespace emulation {

struct Copy {
  void* to;
  const void* from;
  size_t bytes, zeros;
};

// By thread of the block that is running; a deque of committed groups, the last one still open.
inline std::deque<std::vector<Copy>>& copies() {
  static thread_local std::vector<std::deque<std::vector<Copy>>> all(1024);
  auto& mine = all[here().running()];
  if (mine.empty()) mine.emplace_back();
  return mine;
}

}  // namespace emulation

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes, size_t zeros = 0) {
  if (bytes != 4 && bytes != 8 && bytes != 16) emulation::fail("an asynchronous copy has 4, 8 or 16 bytes");
  if (reinterpret_cast<uintptr_t>(to) % bytes || (zeros < bytes && reinterpret_cast<uintptr_t>(from) % bytes))
    emulation::fail("an asynchronous copy is not aligned");
  emulation::copies().back().push_back({to, from, bytes, zeros});
}
inline void __pipeline_commit() { emulation::copies().emplace_back(); }
inline void __pipeline_wait_prior(size_t prior) {
  auto& groups = emulation::copies();
  while (groups.size() > prior + 1) {
    for (const emulation::Copy& copy : groups.front()) {
      std::memcpy(copy.to, copy.from, copy.bytes - copy.zeros);
      std::memset(static_cast<char*>(copy.to) + copy.bytes - copy.zeros, 0, copy.zeros);
    }
    groups.pop_front();
  }
}
