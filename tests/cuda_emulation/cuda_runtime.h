// A stand-in for CUDA's runtime that runs kernels on the CPU, so that their indexing, barriers and arithmetic
// can be tested without a GPU, also under AddressSanitizer. It says nothing about speed, and has only what
// the kernels use.
//
// Blocks run one after the other; the threads of a block are fibers that switch at barriers and warp
// intrinsics. The order in which threads run between two barriers is shuffled, so that a missing barrier
// gives wrong results, and a barrier that not all threads reach is an error.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

using cudaError_t = int;
using cudaStream_t = void*;
constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

constexpr int warpSize = 32;
inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

namespace emulation {

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "CUDA emulation: %s\n", what);
  std::abort();
}

// The threads of a block, and which of them wait at the barrier of the block or of their warp.
class Block {
 public:
  static constexpr size_t kStack = 128 * 1024;

  struct Fiber {
    ucontext_t context;  // for the start; later switches are jumps, which make no system call
    jmp_buf jump;
    bool started = false;
    uint3 thread;
    bool finished = false;
    bool at_barrier = false, at_warp = false;
    alignas(16) unsigned char offered[256];  // the value that this lane shows to its warp
  };

  explicit Block(dim3 block) : block_(block), fibers_(block.x * block.y * block.z) {
    if (fibers_.empty() || fibers_.size() > 1024) fail("a block has 1 to 1024 threads");
    stacks_.reset(new unsigned char[fibers_.size() * kStack]);
  }

  void run(const std::function<void()>& body) {
    body_ = &body;
    for (size_t i = 0; i < fibers_.size(); ++i) {
      Fiber& fiber = fibers_[i];
      const unsigned n = static_cast<unsigned>(i);
      fiber.thread = {n % block_.x, n / block_.x % block_.y, n / block_.x / block_.y};
      fiber.started = fiber.finished = fiber.at_barrier = fiber.at_warp = false;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = stacks_.get() + i * kStack;
      fiber.context.uc_stack.ss_size = kStack;
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, reinterpret_cast<void (*)()>(&Block::enter), 0);
    }
    Block* const outer = current();
    current() = this;
    while (advance()) {
    }
    current() = outer;
  }

  static Block*& current() {
    static thread_local Block* block = nullptr;
    return block;
  }
  size_t running() const { return running_; }
  size_t lane() const { return running_ % warpSize; }

  void barrier() {
    fibers_[running_].at_barrier = true;
    leave();
  }
  void warp_barrier() {
    fibers_[running_].at_warp = true;
    leave();
  }
  // Shows a value to the warp and calls look(values of lane i) once all lanes have shown theirs.
  template <class T, class F>
  auto exchange(const T& value, const F& look) {
    static_assert(sizeof(T) <= sizeof(Fiber::offered), "too large to exchange");
    std::memcpy(fibers_[running_].offered, static_cast<const void*>(&value), sizeof(T));
    warp_barrier();
    const size_t first = running_ / warpSize * warpSize;
    const auto result = look(
        [&](size_t lane) -> const T& { return *reinterpret_cast<const T*>(fibers_[first + lane].offered); });
    warp_barrier();  // no lane may show its next value before all have looked at this one
    return result;
  }

 private:
  static void enter() {
    Block* block = current();
    (*block->body_)();
    block->fibers_[block->running_].finished = true;
    block->leave();
  }
#if defined(__SANITIZE_ADDRESS__)
  void leave() { swapcontext(&fibers_[running_].context, &home_context_); }
  void resume(Fiber& fiber) { swapcontext(&home_context_, &fiber.context); }
#else
  void leave() {
    if (_setjmp(fibers_[running_].jump) == 0) _longjmp(home_, 1);
  }
  void resume(Fiber& fiber) {
    if (_setjmp(home_) != 0) return;
    if (fiber.started) _longjmp(fiber.jump, 1);
    fiber.started = true;
    setcontext(&fiber.context);
  }
#endif

  // Runs every thread that does not wait, in a random order; returns whether any thread is unfinished.
  bool advance() {
    std::vector<size_t> order;
    for (size_t i = 0; i < fibers_.size(); ++i)
      if (!fibers_[i].finished && !fibers_[i].at_barrier && !fibers_[i].at_warp) order.push_back(i);
    std::shuffle(order.begin(), order.end(), random());
    for (const size_t i : order) {
      running_ = i;
      threadIdx = fibers_[i].thread;
      resume(fibers_[i]);
    }
    bool left = false, all_wait = true;
    for (const Fiber& fiber : fibers_) {
      left |= !fiber.finished;
      all_wait &= fiber.at_barrier;
    }
    if (left && all_wait)
      for (Fiber& fiber : fibers_) fiber.at_barrier = false;
    else
      release_warps(order.empty() && left);
    return left;
  }

  void release_warps(bool stuck) {
    bool released = false;
    for (size_t first = 0; first < fibers_.size(); first += warpSize) {
      const size_t end = std::min(fibers_.size(), first + warpSize);
      bool together = true;
      for (size_t i = first; i < end; ++i) together &= fibers_[i].at_warp;
      for (size_t i = first; together && i < end; ++i) fibers_[i].at_warp = false;
      released |= together;
    }
    if (stuck && !released) fail("threads wait at a barrier that others never reach");
  }

  static std::mt19937& random() {
    static thread_local std::mt19937 generator(1);
    return generator;
  }

  dim3 block_;
  size_t running_ = 0;
  const std::function<void()>* body_ = nullptr;
  std::vector<Fiber> fibers_;
  std::unique_ptr<unsigned char[]> stacks_;
  ucontext_t home_context_;
  jmp_buf home_;
};

inline Block& here() { return *Block::current(); }

}  // namespace emulation

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  if (config->gridDim.y > 65535 || config->gridDim.z > 65535) emulation::fail("grid too large in y or z");
  if (config->dynamicSmemBytes) emulation::fail("dynamic shared memory is not emulated");
  emulation::Block block(config->blockDim);
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  const std::function<void()> body = [&] { kernel(arguments...); };
  for (unsigned z = 0; z < config->gridDim.z; ++z)
    for (unsigned y = 0; y < config->gridDim.y; ++y)
      for (unsigned x = 0; x < config->gridDim.x; ++x) {
        blockIdx = {x, y, z};
        block.run(body);
      }
  return cudaSuccess;
}

inline void __syncthreads() { emulation::here().barrier(); }
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta, int width = warpSize) {
  const size_t lane = emulation::here().lane(), n = static_cast<size_t>(width);
  return emulation::here().exchange(value,
                                    [&](auto of) { return lane % n + delta < n ? of(lane + delta) : value; });
}
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
