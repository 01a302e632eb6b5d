"""Options that cannot be used, kinds 67 to 80 of docs/reliability.md."""

from __future__ import annotations

from bad_input import Accepted, Refused, arguments, assert_documented, each

LOSSES = ("look", "stains", "invented", "photorealism", "content", "total_variation")
NO_WEIGHTS = {f"{loss}_weight": 0.0 for loss in LOSSES} | {"style_weights": (0.0,) * 5}
MISSPELT_LAYER = ("relu9_9", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

CASES = [
    Refused(67, "negative weight", arguments(photorealism_weight=-1.0), error="photorealism_weight"),
    Refused(67, "NaN weight", arguments(photorealism_weight=float("nan")), error="photorealism_weight"),
    Refused(67, "infinite weight", arguments(content_weight=float("inf")), error="content_weight"),
    Refused(68, "all weights zero", arguments(**NO_WEIGHTS), error="weight"),
    Accepted(69, "no steps", arguments(steps=0)),
    Refused(69, "negative steps", arguments(steps=-1), error="steps"),
    Refused(70, "unknown layer", arguments(style_layers=MISSPELT_LAYER), error="relu9_9.*did you mean|relu1_1"),
    Refused(71, "unknown device", arguments(device="gpu"), error="device 'gpu': unknown; give"),
    Refused(72, "absent device", arguments(device="cuda:99"), error="cuda:99"),
    Refused(78, "size below 16", arguments(size=15), error="16"),
    Refused(78, "size of nothing", arguments(size=0), error="size"),
    Refused(79, "negative seed", arguments(seed=-1), error="seed"),
    Refused(79, "seed beyond 64 bits", arguments(seed=2**64), error="seed"),
    Refused(80, "misspelt setting", arguments(photorealism_weigth=1.0), error="did you mean photorealism_weight"),
    Refused(80, "unknown preset", arguments(preset="fats"), error="preset|fats"),
    Refused(80, "unknown encoder", arguments(encoder="vgg91"), error="vgg91"),
    Refused(80, "unknown regions", arguments(regions="sky"), error="regions|sky"),
]


@each(CASES)
def test_command(case, tmp_path, capsys):
    case.check_command(tmp_path, capsys)


@each(CASES)
def test_python(case, tmp_path):
    case.check_python(tmp_path)


def test_documentation_says_the_same():
    assert_documented(CASES)
