"""The colours in which data sets and segmentation networks draw their classes: ADE20K, Cityscapes, Pascal VOC."""

from __future__ import annotations

from fastphoto.regions.ade20k import CATEGORIES

Colour = tuple[int, int, int]

# Red, green and blue of the categories in their order, as the benchmark of SceneParsing150 publishes them.
_ADE20K = """
    787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33
    ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff
    08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff
    eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff
    0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad
    0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2
    00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa
    8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3
    ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff
    00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""

_CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
    # Classes that networks are not trained on.
    "dynamic": (111, 74, 0),
    "ground": (81, 0, 81),
    "parking": (250, 170, 160),
    "rail track": (230, 150, 140),
    "guard rail": (180, 165, 180),
    "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90),
    "caravan": (0, 0, 90),
    "trailer": (0, 0, 110),
}

_VOC = (
    "background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table, dog, horse, "
    "motorbike, person, potted plant, sheep, sofa, train, tv monitor"
)


def voc_colour(number: int) -> Colour:
    """Return the colour that Pascal VOC gives to a class: every third bit of its number, the lowest bit first.

    Example:
        >>> voc_colour(15)  # person
        (192, 128, 128)
    """
    red, green, blue = (
        sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)
    )
    return red, green, blue


def _ade20k() -> dict[Colour, str]:
    names = {(0, 0, 0): "unlabelled"}
    for name, code in zip(CATEGORIES, _ADE20K.split(), strict=True):
        red, green, blue = bytes.fromhex(code)
        colour = red, green, blue
        names[colour] = f"{names[colour]} or {name}" if colour in names else name  # road and skyscraper are one colour
    return names


def _voc() -> dict[Colour, str]:
    names = dict(enumerate(_VOC.split(", "))) | {255: "void"}
    return {voc_colour(number): names.get(number, f"class {number}") for number in range(256)}


DATASET_COLOURS: dict[str, dict[Colour, str]] = {
    "Pascal VOC": _voc(),  # other data sets number up to 255 classes in the same colours
    "Cityscapes": {(0, 0, 0): "unlabelled", **{colour: name for name, colour in _CITYSCAPES.items()}},
    "ADE20K": _ade20k(),
}
"""{data set: {(red, green, blue): name of the class}}."""
