"""The files of the page: nothing from elsewhere, the colours of the report pages, and enough contrast."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastphoto
from fastphoto.ui.recipe import Recipe

PACKAGE = Path(fastphoto.__file__).parent
PAGE = PACKAGE / "ui" / "page"
TOKENS = PACKAGE / "reports" / "tokens.css"


def tokens(css: str) -> list[dict[str, str]]:
    """The custom properties of the light and the dark theme."""
    return [dict(re.findall(r"(--[\w-]+): ([^;]+);", block)) for block in re.findall(r":root \{([^}]*)\}", css)]


def luminance(colour: str) -> float:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_all_pages_have_the_same_colours():
    """Those of one file, in a light and a dark theme; no page has colours of its own."""
    themes = tokens(TOKENS.read_text())
    assert len(themes) == 2 and themes[0].keys() == themes[1].keys()
    for path in (PAGE / "page.css", TOKENS.with_name("page.css")):
        css = path.read_text()
        assert tokens(css) == [] and "var(--paper)" in css and "var(--ink)" in css


def test_the_server_has_the_colours(server):
    assert server.call("GET", "/page/tokens.css") == (200, TOKENS.read_bytes())


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [("ink", "paper"), ("ink", "card"), ("ink", "best"), ("muted", "paper"), ("muted", "card"), ("muted", "mat")]
    + [("on-accent", "accent")],
)
def test_text_has_the_contrast_of_level_aa(theme, text, ground):
    colours = tokens(TOKENS.read_text())[theme]
    light, dark = sorted((luminance(colours[f"--{name}"]) for name in (text, ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_nothing_comes_from_elsewhere():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|url\(|//cdn", text), path.name
        for name in re.findall(r'(?:from|src=|href=) ?"(/page/[^"]+)"', text):
            assert Path(name).name in {TOKENS.name, *(each.name for each in PAGE.iterdir())}, (
                f"{path.name} names {name}"
            )


def test_scripts_and_styles_are_files_of_their_own():
    """The security policy forbids all others."""
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\bstyle=|\son\w+=|<script>|<script [^>]*>[^<]", page)


def test_every_control_has_a_name():
    page = (PAGE / "index.html").read_text()
    for control in re.findall(r"<(?:input|select|canvas|progress)\b[^>]*>", page):
        number = page.index(control)
        labelled = page.rfind("<label", 0, number) > page.rfind("</label>", 0, number)
        assert labelled or "aria-label" in control or "hidden" in control, control


@pytest.mark.parametrize("names", [("it's.jpg", "a b.png"), ("$(x).jpg", 'q"uote.png')])
def test_names_of_files_are_quoted(names):
    import shlex

    recipe = Recipe(preset="painterly", size=350, regions="masks", blend=0.5)
    assert shlex.split(recipe.command(*names, "out.png"))[2:4] == list(names)
    called: list[object] = []
    module = type("fastphoto", (), {
        "read_photo": lambda path: called.append(path),
        "transfer": lambda photo, style, *masks, **options: called.append((style, masks, options)),
        "write_photo": lambda path, photo, result: called.append(path),
    })  # fmt: skip
    lines = recipe.python(*names, "out.png").removeprefix("import fastphoto\n")
    exec(lines, {"fastphoto": module})
    masks = ("content_mask.png", "style_mask.png")
    assert called == [names[0], (names[1], masks, {"preset": "painterly", "size": 350, "blend": 0.5}), "out.png"]
