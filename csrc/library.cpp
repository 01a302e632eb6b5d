// The schemas of all operators: the native table of contents.
#include <torch/csrc/stable/library.h>

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
  // Only on the CPU: content (H, W, 3) -> factors (9, H, W) double; x (H, W, 3) -> (H, W, 3)
  m.def("local_affine_factors(Tensor content, int radius, float epsilon) -> Tensor");
  m.def("local_affine_sum(Tensor content, Tensor factors, Tensor x, int radius) -> Tensor");
  // Only on the CPU: tones (H, W), broad, contrast, mattes (R, H, W), chroma (R, 2, H, W), centre (R, 3),
  // most_gain (R,), curves (R, 3, T, gh, gw), gains (R, gh, gw), matrices (R, 2, 3), rest (3, H, W)
  // -> L*a*b* (3, H, W); the gradients are those of curves, gains and matrices.
  m.def(
      "region_recolouring(Tensor tones, Tensor broad, Tensor contrast, Tensor chroma, Tensor mattes, Tensor "
      "centre, "
      "Tensor most_gain, Tensor curves, Tensor gains, Tensor matrices, Tensor rest, float share, float "
      "most_contrast)"
      " -> Tensor");
  m.def(
      "region_recolouring_backward(Tensor grad, Tensor tones, Tensor broad, Tensor contrast, Tensor chroma, "
      "Tensor mattes, Tensor centre, Tensor most_gain, Tensor curves, Tensor gains, Tensor matrices, float "
      "share, "
      "float most_contrast) -> (Tensor, Tensor, Tensor)");
  // Only on the CPU: features (C, H, W), shares (R, H, W) -> mean (R, C), variance (R, C)
  m.def("region_moments(Tensor features, Tensor shares) -> (Tensor, Tensor)");
  m.def(
      "region_moments_backward(Tensor grad_mean, Tensor grad_variance, Tensor features, Tensor shares, "
      "Tensor mean) -> Tensor");
  // a (A, N), b (B, N) -> (A, B) double
  m.def("inner_products(Tensor a, Tensor b) -> Tensor");
  // Only on the CPU: values (K, N), target (K, N), offsets (R + 1,) int64 -> distances (R,), residual (K, N)
  m.def("sorted_distance(Tensor values, Tensor target, Tensor offsets) -> (Tensor, Tensor)");
  // Only on the CPU: lab (3, H, W), importance and limit of the pixels of all bands (N,) -> loss (), gradient
  m.def("contrast_excess(Tensor lab, Tensor importance, Tensor limit, int bands) -> (Tensor, Tensor)");
  // Only on the CPU: (3, H, W) -> (3, H, W)
  m.def("srgb_to_lab(Tensor srgb) -> Tensor");
  m.def("srgb_to_lab_backward(Tensor grad, Tensor srgb) -> Tensor");
  m.def("lab_to_srgb(Tensor lab) -> Tensor");
  m.def("lab_to_srgb_backward(Tensor grad, Tensor lab) -> Tensor");
  // x (B, C, H, W), channels-last, after a ReLU -> (B, C, h, w); the gradient is the one before the ReLU.
  m.def("max_pool(Tensor x, bool ceil) -> Tensor");
  m.def("max_pool_backward(Tensor grad, Tensor x) -> Tensor");
  // Only on the CPU: weight (O, I, 3, 3) -> weights (36, panels, I, 16); x (B, I, H, W) -> (B, O, h, w).
  m.def("convolution_weights(Tensor weight) -> Tensor");
  m.def(
      "convolution(Tensor x, Tensor weights, Tensor? bias, int out_channels, int padding, bool reflect, "
      "bool relu) -> Tensor");
  // Sets how many threads kernels use on the CPU where PyTorch's own operators use one, 0 for as many as
  // these; returns the number that they use now.
  m.def("use_threads(int threads) -> int");
  // x (H, W, K) -> (H, W, K)
  m.def("box_sum(Tensor x, int radius) -> Tensor");
  m.def("bilateral_sum(Tensor guide, Tensor x, int radius, float sigma_space, float sigma_colour) -> Tensor");
}
