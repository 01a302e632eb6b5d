"""The survey: what each figure compares, and a page of some figures on the photos in the package."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from markup import Markup
from PIL import Image

from fastphoto.errors import InputError
from fastphoto.methods.registry import METHODS, Method, RunOptions
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.progress import Progress
from fastphoto.photos.demo import demo_pairs
from fastphoto.reports import survey
from fastphoto.reports.survey_figures import FIGURES, Figure, swapped_regions

# ---- figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_a_title_a_text_and_methods_of_different_titles(name):
    figure = FIGURES[name]
    titles = [method.title for method in figure.methods.values()]
    assert figure.title and figure.text
    assert len(set(titles)) == len(titles) >= 3 and all(titles)


@pytest.mark.parametrize("name", FIGURES)
def test_settings_of_a_figure_are_valid(name):
    for method in FIGURES[name].methods.values():
        if method.preset is not None:
            preset_settings(method.preset, **method.settings)


@pytest.mark.parametrize(
    "name, preset, setting",
    [
        ("layer-reconstructions", "inversion", "content_layers"),
        ("total-variation", "inversion", "total_variation_power"),
        ("alpha-beta", "gatys", "content_weight"),
        ("content-layers", "gatys-photo", "content_layers"),
        ("lambda", "paper", "photorealism_weight"),
    ],
    ids=["layer-reconstructions", "total-variation", "alpha-beta", "content-layers", "lambda"],
)
def test_sweep_varies_one_setting_and_includes_that_of_the_preset(name, preset, setting):
    methods = list(FIGURES[name].methods.values())
    assert {method.preset for method in methods} == {preset}
    variants = [preset_settings(method.preset, **method.settings) for method in methods]
    values = [getattr(settings, setting) for settings in variants]
    assert getattr(PRESETS[preset], setting) in values and len(set(values)) == len(values)
    others = [replace(settings, **{setting: values[0]}) for settings in variants]
    assert all(settings == others[0] for settings in others), "another setting varies too"


# ---- page --------------------------------------------------------------------------------------------------

QUICK = {name: METHODS[name] for name in ("reinhard", "pitie-regions")}
INVERSION = {"x": Method("an <inversion>", "", False, "inversion", {"steps": 2})}
TEST_FIGURES = {
    "one": Figure("First & foremost", "Of all pairs.", QUICK),
    "two": Figure("Second", "Of one pair.", INVERSION, "first", lambda result: "a note"),
    "three": Figure("Third", "Of unrelated photos.", QUICK, "unrelated"),
    "four": Figure("Not chosen", "", QUICK),
}
PAIRS = len(demo_pairs())


@dataclass(frozen=True)
class Made:
    """A survey's folder, and what was reported while it was made."""

    folder: Path
    reports: list[tuple[str, Progress | None]]

    @property
    def page(self) -> Markup:
        return Markup((self.folder / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """Three of the four figures."""
    folder, reports = tmp_path_factory.mktemp("survey") / "new", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "FIGURES", TEST_FIGURES)
        page = survey.make_survey(
            folder,
            ["one", "two", "three"],
            size=48,
            options=RunOptions(seed=3),
            report=lambda *job: reports.append(job),
        )
    assert page == folder / "index.html"
    return Made(folder, reports)


def test_page_is_balanced_accessible_and_loads_nothing(made):
    made.page.check()


def test_page_has_a_section_for_each_chosen_figure_and_one_for_credits(made):
    assert [e.words for e in made.page.all("h2")] == ["First & foremost", "Second", "Third", "Photographs"]
    assert "Aitzol Berasategi, 2018, CC BY 4.0" in made.page.all("p")[-1].words


def test_figure_shows_its_methods_on_each_of_its_pairs(made):
    quick = ["Content", "Style", "Reinhard", "Pitié, by region"]
    captions = quick * PAIRS + ["Content", "Style", "an <inversion>"] + quick * PAIRS
    assert [e.words for e in made.page.all("strong")] == captions
    assert len(made.page.all("table")) == 2 * PAIRS + 1


def test_results_have_their_scores_or_the_figures_note_below(made):
    captions = [e.words for e in made.page.all("figcaption")]
    assert sum("a note" in caption for caption in captions) == 1
    assert sum("stains " in caption and "look " in caption for caption in captions) == 2 * 2 * PAIRS


def test_each_figure_has_a_contact_sheet_with_a_row_for_each_pair(made):
    assert sorted(path.name for path in made.folder.iterdir()) == ["index.html", "one.jpg", "three.jpg", "two.jpg"]
    one, two = (Image.open(made.folder / name) for name in ("one.jpg", "two.jpg"))
    assert one.height > 1.8 * two.height


def test_each_method_on_each_pair_is_reported(made):
    begun = [name for name, progress in made.reports if progress is None]
    quick = ["reinhard", "pitie-regions"]
    assert begun == [f"one/{m}" for m in quick] * PAIRS + ["two/x"] + [f"three/{m}" for m in quick] * PAIRS
    assert [progress.total for _, progress in made.reports if progress is not None and progress.is_step] == [2, 2]


def test_unknown_figure_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(InputError, match="figure 'beta': unknown; give some of layer-reconstructions, "):
        survey.make_survey(tmp_path / "new", ["regions", "beta"])
    assert not (tmp_path / "new").exists()


def test_options_reach_the_methods(tmp_path):
    with pytest.raises(InputError, match="device"):
        survey.make_survey(tmp_path, ["methods"], size=32, options=RunOptions(device="tpu"))


# ---- pairs -------------------------------------------------------------------------------------------------


def test_unrelated_pairs_are_contents_with_the_styles_of_other_pairs():
    pairs = survey._prepared_pairs(32)
    assert len(pairs["all"]) == len(pairs["unrelated"]) and len(pairs["first"]) == 1
    for own, unrelated in zip(pairs["all"], pairs["unrelated"], strict=True):
        torch.testing.assert_close(own.content, unrelated.content, atol=1e-6, rtol=0)  # both were shrunk in float32
        assert own.style.shape != unrelated.style.shape or not torch.equal(own.style, unrelated.style)
        assert len(own.names) >= 2 and len(unrelated.names) == 1, "unrelated photos have masks"


def test_swapped_regions_give_each_region_the_style_of_another():
    for pair in survey._prepared_pairs(32)["all"]:
        swapped = swapped_regions(pair)
        assert torch.equal(swapped.content_masks[1], pair.content_masks[0])
        assert torch.equal(swapped.style_masks, pair.style_masks), "masks of the style changed"
        assert not torch.equal(swapped.content_masks, pair.content_masks), "masks of the content stayed"
