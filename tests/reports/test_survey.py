"""The survey's figures: what each of them shows, and a page of some of them on the photos in the package."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from markup import Markup
from PIL import Image

from fastphoto.errors import InputError
from fastphoto.methods.ablations import QUESTIONS
from fastphoto.methods.registry import METHODS, Method
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.photos.demo import demo_pairs
from fastphoto.reports import survey
from fastphoto.reports.survey import FIGURES, Figure, swapped_regions


@pytest.mark.parametrize("name", FIGURES)
def test_figure_names_each_of_its_methods_once_and_can_be_made(name):
    figure = FIGURES[name]
    titles = [method.title for method in figure.methods.values()]
    assert len(set(titles)) == len(titles) >= 3 and all(titles) and figure.title and figure.text
    for method in figure.methods.values():
        if method.preset is not None:
            preset_settings(method.preset, **method.settings)


@pytest.mark.parametrize(
    ("name", "preset", "setting"),
    [
        ("layer-reconstructions", "inversion", "content_layers"),
        ("total-variation", "inversion", "total_variation_power"),
        ("alpha-beta", "gatys", "content_weight"),
        ("content-layers", "gatys-photo", "content_layers"),
        ("lambda", "paper", "photorealism_weight"),
    ],
)
def test_sweeps_go_through_one_setting_and_the_preset_is_among_them(name, preset, setting):
    methods = list(FIGURES[name].methods.values())
    found = [preset_settings(method.preset, **method.settings) for method in methods]
    assert {method.preset for method in methods} == {preset}
    values = [getattr(settings, setting) for settings in found]
    assert getattr(PRESETS[preset], setting) in values and len(set(values)) == len(values)
    same = [dataclasses.replace(settings, **{setting: values[0]}) for settings in found]
    assert all(settings == same[0] for settings in same)


def test_survey_shows_every_method_and_every_question():
    assert FIGURES["methods"].methods is METHODS
    for name, question in QUESTIONS.items():
        assert FIGURES[name].methods is question.variants and FIGURES[name].title == question.title


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of two figures, and the jobs that were reported."""
    jobs: list[tuple[str, object]] = []
    folder = tmp_path_factory.mktemp("survey") / "new"
    quick = {name: METHODS[name] for name in ("reinhard", "pitie-regions")}
    inversion = {"x": Method("an <inversion>", "", False, "inversion", {"steps": 2})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            survey,
            "FIGURES",
            {
                "one": Figure("First & foremost", "Of all pairs.", quick),
                "two": Figure("Second", "Of one.", inversion, "first", lambda result: "noted"),
                "three": Figure("Third", "Of unrelated photos.", quick, "unrelated"),
                "four": Figure("Not asked for", "", quick),
            },
        )
        page = survey.make_survey(
            folder, ["one", "two", "three"], size=48, seed=3, report=lambda *job: jobs.append(job) and None
        )
    assert page == folder / "index.html"
    return folder, jobs


def test_page_shows_the_figures_asked_for_and_loads_nothing(made):
    page = Markup((made[0] / "index.html").read_text(encoding="utf-8"))
    page.check()
    assert [e.words for e in page.all("h2")] == ["First & foremost", "Second", "Third", "Photographs"]
    captions = [e.words for e in page.all("strong")]
    pairs = len(demo_pairs())
    quick = ["Content", "Style", "Reinhard", "Pitié, by region"]
    assert captions == quick * pairs + ["Content", "Style", "an <inversion>"] + quick * pairs
    assert sum("noted" in e.words for e in page.all("figcaption")) == 1
    scored = [e for e in page.all("figcaption") if "style " in e.words and "photorealism " in e.words]
    assert len(scored) == 2 * 2 * pairs
    assert len(page.all("table")) == 2 * pairs + 1
    assert "Aitzol Berasategi, 2018, CC BY 4.0" in page.all("p")[-1].words


def test_contact_sheet_of_every_figure(made):
    folder, _ = made
    assert sorted(file.name for file in folder.iterdir()) == ["index.html", "one.jpg", "three.jpg", "two.jpg"]
    one, two = (Image.open(folder / name) for name in ("one.jpg", "two.jpg"))
    assert one.height > 1.8 * two.height, "a row for every pair"


def test_report_of_every_method_of_every_pair(made):
    begun = [name for name, progress in made[1] if progress is None]
    pairs = len(demo_pairs())
    quick = ["reinhard", "pitie-regions"]
    wanted = [f"one/{m}" for m in quick] * pairs + ["two/x"] + [f"three/{m}" for m in quick] * pairs
    assert begun == wanted
    assert [progress.total for name, progress in made[1] if progress is not None] == [2, 2]


def test_unrelated_pairs_are_contents_with_other_pairs_styles():
    pairs = survey._pairs(32)
    assert len(pairs["all"]) == len(pairs["unrelated"]) and len(pairs["first"]) == 1
    for own, other in zip(pairs["all"], pairs["unrelated"], strict=True):
        assert torch.equal(own.content, other.content)
        assert own.style.shape != other.style.shape or not torch.equal(own.style, other.style)
        assert len(own.names) >= 2 and len(other.names) == 1
        swapped = swapped_regions(own)
        assert torch.equal(swapped.content_masks[1], own.content_masks[0])
        assert torch.equal(swapped.style_masks, own.style_masks)
        assert not torch.equal(swapped.content_masks, own.content_masks)


def test_unknown_figure_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(InputError, match="figure 'beta': unknown; give some of layer-reconstructions, "):
        survey.make_survey(tmp_path / "new", ["regions", "beta"])
    assert not (tmp_path / "new").exists()
