"""RetinaNet and DeepLab-v3 at the paper's settings: what of the frameworks' configurations is replaced, and every
published cell in both, forwards and backwards. ``docs/transfer.md`` tells the same and is held to it here."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from torch import nn

import genas.models.networks.mmseg  # noqa: F401  (registers the backbone)
from genas.models.networks.files.checkpoint import Preprocessing, save_network
from genas.models.networks.published import zoo, zoo_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline.config import REPOSITORY, load_params
from genas.pipeline.transfer.detect import config as detect
from genas.pipeline.transfer.segment import config as segment
from genas.pipeline.transfer.segment.data import CITYSCAPES_CLASSES

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),
    pytest.mark.filterwarnings("ignore:Fail to import:UserWarning"),
    pytest.mark.filterwarnings("ignore:Default ``avg_non_ignore``:UserWarning"),
]

PAPER = load_params(REPOSITORY)
ROW = "genas_flatness_c100"
WEIGHTS = Path("out/retrain") / ROW / "weights.safetensors"
FROZEN = {"stem0.0.weight", "stem0.3.weight"}
"""The convolutions at strides 2 and 4, which Detectron2's FREEZE_AT 2 leaves as they are; its BatchNorm has no
parameters."""
ROWS = [name for name, entry in zoo().items() if entry["genotype"]]
VARIED = {"genas_flatness_c100", "fairdarts_b_c10", "sdarts_adv_c10", "pcdarts_c100_genas_research"}
SIZE = 64


def lay_untrained(path: Path, row: str) -> int:
    """An untrained network file of a zoo row as the paper's profile would leave it; returns its width."""
    width = zoo()[row]["width"] or 48
    torch.manual_seed(0)
    network = GenasNetwork(zoo_genotype(row), width=width, layers=14, num_classes=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(path, network, Preprocessing(224, (0.0,) * 3, (1.0,) * 3), [str(i) for i in range(10)])
    return width


# Configurations


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the row's network, to be in: paths in the tables are then the same everywhere."""
    monkeypatch.chdir(tmp_path)
    lay_untrained(WEIGHTS, ROW)
    return tmp_path


def shown(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, (list, tuple)) and len(value) > 4:
        return f"{len(value)} values"
    return str(value)


def table(changes: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    """Key, the framework's value, ours; what is the same of all three loaders is one line."""
    lines = []
    for key, (theirs, ours) in changes.items():
        _, dot, rest = key.partition("_dataloader.")
        same = [changes.get(f"{other}{dot}{rest}") == (theirs, ours) for other in ("train", "val", "test")]
        if dot and all(same):
            key = f"*{dot}{rest}"
        lines.append((key, shown(theirs), shown(ours)))
    return list(dict.fromkeys(lines))


def print_table(title: str, lines: Iterable[tuple[str, str, str]]) -> None:
    rows = [(title, "theirs", "ours"), *lines]
    wide = [max(len(row[i]) for row in rows) for i in range(3)]
    print("\n\n" + "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)) for row in rows))


def documented(heading: str) -> list[tuple[str, str, str]]:
    """The table of a section of ``docs/transfer.md``, without its last column, which must say why."""
    section = (REPOSITORY / "docs/transfer.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    assert all(len(row) == 4 and row[3] for row in rows)
    return [(key, theirs, ours) for key, theirs, ours, _ in rows[2:]]


def test_retinanet_is_the_frameworks_but_for_the_documented_lines(profile: Path) -> None:
    setting = detect.Setting(WEIGHTS, "genas_coco_coco_train", "genas_coco_coco_val", 80, torch.device("cuda"))
    lines = table(detect.differences(PAPER.detect.base, detect.configure(PAPER.detect, setting)))
    print_table(PAPER.detect.base, lines)
    assert sorted(lines) == sorted(documented("RetinaNet"))


def test_deeplab_is_the_frameworks_but_for_the_documented_lines(profile: Path) -> None:
    """On four GPUs, for which the configuration is written."""
    device, work = torch.device("cuda"), Path(".scratch/work")
    setting = segment.Setting(WEIGHTS, Path("cityscapes"), "cityscapes", CITYSCAPES_CLASSES, device, work, processes=4)
    lines = table(segment.differences(PAPER.segment.base, segment.configure(PAPER.segment, setting)))
    print_table(PAPER.segment.base, lines)
    assert sorted(lines) == sorted(documented("DeepLab-v3"))


# Every published cell


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Fail to import", UserWarning)
        register_all_modules()


def check(network: nn.Module, losses: Mapping[str, torch.Tensor], backbone: str, without: set[str]) -> None:
    """Finite losses, and a gradient for every parameter but those of the backbone that are documented."""
    assert losses
    assert all(math.isfinite(value.item()) for value in losses.values())
    sum(losses.values(), torch.zeros(())).backward()
    lacking = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert lacking == {f"{backbone}.{name}" for name in without}
    assert all(p.grad.isfinite().all() and p.grad.any() for p in network.parameters() if p.grad is not None)


def zoo_rows() -> list[Any]:
    return [pytest.param(row, marks=() if row in VARIED else pytest.mark.slow) for row in ROWS]


@pytest.mark.parametrize("row", zoo_rows())
def test_retinanet_over_every_cell(row: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    width = lay_untrained(weights, row)
    setting = detect.Setting(weights, "train", "val", 80, torch.device("cpu"))
    network = build_model(detect.configure(PAPER.detect, setting))
    shapes = network.backbone.bottom_up.output_shape()
    assert [(shapes[name].stride, shapes[name].channels) for name in ("res3", "res4", "res5")] == [
        (8, 4 * width), (16, 8 * width), (32, 16 * width)
    ]  # fmt: skip
    image = torch.randint(0, 256, (3, SIZE, SIZE), generator=torch.Generator().manual_seed(1)).float()
    maps = network.backbone.bottom_up(image[None])
    assert {n: (m.shape[1], SIZE // m.shape[2]) for n, m in maps.items()} == {
        n: (shapes[n].channels, shapes[n].stride) for n in ("res3", "res4", "res5")
    }
    truth = Instances((SIZE, SIZE))
    truth.gt_boxes, truth.gt_classes = Boxes(torch.tensor([[4.0, 4.0, 40.0, 40.0]])), torch.tensor([7])
    with EventStorage():
        losses = network.train()([{"image": image, "instances": truth}])
    check(network, losses, "backbone.bottom_up.features.model", FROZEN)


@pytest.mark.slow
@pytest.mark.parametrize("row", zoo_rows())
def test_deeplab_over_every_cell(row: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    width = lay_untrained(weights, row)
    place = tmp_path, "cityscapes", CITYSCAPES_CLASSES, torch.device("cpu"), tmp_path
    cfg = segment.configure(PAPER.segment, segment.Setting(weights, *place))
    network = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, SIZE, SIZE, generator=generator)
    maps = network.backbone(images)
    assert [SIZE // features.shape[2] for features in maps] == [4, 8, 8, 8]
    assert [features.shape[1] for features in maps] == [width, 4 * width, 8 * width, 16 * width]
    samples = [SegDataSample() for _ in images]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, SIZE, SIZE), generator=generator))
    losses = {name: value for name, value in network.loss(images, samples).items() if "loss" in name}
    assert set(losses) == {"decode.loss_ce", "aux.loss_ce"}
    check(network, losses, "backbone.body.model", set())
