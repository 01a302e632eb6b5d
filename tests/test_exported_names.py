"""The names that each package exports: what users may rely on, so that private helpers do not become API by use."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

EXPORTED = {
    "fastphoto": """METHODS PRESETS DeadlineError Encoder FastPhotoError FastPhotoWarning FileError InputError
        Look MattingLaplacian Photo PhotoPair Progress RegionMasks Session Settings VideoProgress __version__
        apply_method compare demo_pairs evaluate find_regions grow_scribbles invert
        keep_freed_memory load_encoder ops prepare_pair preset_settings read_look read_masks
        read_photo region_unlikeness transfer transfer_many transfer_video write_photo""",
    "fastphoto.ops": """MattingLaplacian PixelLists bilateral_sum box_sum build_info conjugate_gradients
        contrast_excess convolution convolution_weights inner_products lab_to_srgb list_pixels local_affine_apply
        local_affine_factors local_affine_fit local_affine_smooth local_affine_smooth_box local_affine_sum masked_gram
        matting_laplacian matting_laplacian_energy matting_laplacian_stencil max_pool
        max_pool_backward region_moments region_recolouring sorted_distance srgb_to_lab
        stencil_energy stencil_product""",
    "fastphoto.photos": """Photo PhotoSource read_photo to_source_kind write_photo""",
    "fastphoto.colour": """ColourLUT LUTError apply_affine_maps apply_lut fit_affine_maps fit_lut guided_filter
        match_colours monge_kantorovich read_lut srgb_to_lab write_lut""",
    "fastphoto.encoders": """Encoder EncoderWeights cache_folder load_encoder load_weights read_weights""",
    "fastphoto.regions": """PALETTE MatchedRegions PhotoPair RegionMasks find_regions grow_scribbles layer_masks
        match_regions prepare_pair read_masks region_unlikeness resize_masks""",
    "fastphoto.optimisation": "PRESETS Progress Settings preset_settings",
    "fastphoto.batch": "BatchProgress BatchSummary Job find_jobs read_manifest transfer_many",
    "fastphoto.methods": "METHODS Method RunOptions apply_method",
    "fastphoto.video": "Flicker VideoProgress flicker transfer_video",
    "fastphoto.evaluation": """PUBLISHED Evaluation Measures ReferencePair Scores evaluate measure score_measures""",
}
EXPORTING_NOTHING = ("fastphoto.runtime", "fastphoto.reports", "fastphoto.ui", "fastphoto.cli")


@pytest.mark.parametrize("package", EXPORTED)
def test_exported_names(package):
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(EXPORTED[package].split())
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, f"{package} exports names that it does not have"


@pytest.mark.parametrize("package", EXPORTING_NOTHING)
def test_packages_without_exports(package):
    assert not hasattr(importlib.import_module(package), "__all__"), "it exports names now: list them above"


@pytest.mark.parametrize("package", EXPORTED)
def test_no_export_hides_a_module_of_its_name(package):
    """A function over a module of the same name would make `import package.name` mean either."""
    module = importlib.import_module(package)
    names = set(module.__all__) - {"ops"}  # a package itself
    hiding = [name for name in names if importlib.util.find_spec(f"{package}.{name}") is not None]
    assert not hiding, f"{package} has modules of these names, too"
