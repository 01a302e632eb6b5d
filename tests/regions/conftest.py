"""A small segmentation network, for the tests that run one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from rendered_photos import day, dusk

from fastphoto.regions.ade20k import CATEGORIES


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like one from the Hub: UperNet on ConvNeXt with few channels, trained to tell skies from mountains."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    backbone = transformers.ConvNextConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=[f"stage{n}" for n in (1, 2, 3, 4)]
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, auxiliary_in_channels=16, auxiliary_channels=8, num_labels=150
    )
    network = transformers.UperNetForSemanticSegmentation(config).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    photos = day(64, 96), dusk(64, 96)
    inputs = torch.stack([(photo.pixels - mean) / deviation for photo in photos])
    categories = torch.tensor([CATEGORIES.index("sky"), CATEGORIES.index("mountain")])
    targets = torch.stack([categories[torch.from_numpy(photo.region_map)] for photo in photos])
    for _ in range(35):
        optimiser.zero_grad()
        network(inputs, labels=targets).loss.backward()
        optimiser.step()
    network.eval().save_pretrained(folder)
    transformers.SegformerImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture
def copied(network: Path, tmp_path: Path) -> Path:
    """A copy of the network's folder that a test may change."""
    return Path(shutil.copytree(network, tmp_path / "copied"))
