"""DeepLab-v3 in MMSegmentation: what is replaced in its configuration, the readers, and resuming."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import GenasError
from models.networks.checkpoint import Preprocessing
from pipeline.config import SegmentParams, data_root
from pipeline.context import Log, silent
from pipeline.data import stage as data
from pipeline.transfer.segment import stage as segment
from pipeline.transfer.segment.config import Scenes, differences, framework_config, segmenter_config
from pipeline.transfer.segment.data import (
    CITYSCAPES_CLASSES,
    TRAIN_IDS,
    ResumableSampler,
    SceneDataset,
    check_scenes,
    find_scenes,
)
from tests.conftest import Killed, Tiny, kill_at, run_stage
from tests.networks import write_network

pytestmark = [
    # Building the first model imports MMCV's transformer bricks, which miss compiled operations that nothing here uses.
    pytest.mark.filterwarnings("ignore:Fail to import:UserWarning"),
    # A default of MMSegmentation's losses that stays as it is.
    pytest.mark.filterwarnings("ignore:Default ``avg_non_ignore``:UserWarning"),
]

BASE = "deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py"
SMALL: dict[str, Any] = {
    "model.decode_head.channels": 8,
    "model.auxiliary_head.channels": 8,
    "model.data_preprocessor.size": [64, 64],
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
    "train_dataloader.dataset.pipeline.2.scale": [96, 96],
    "train_dataloader.dataset.pipeline.3.crop_size": [64, 64],
    "val_dataloader.num_workers": 0,
    "val_dataloader.dataset.pipeline.1.scale": [64, 64],
    "param_scheduler.0.end": 45,
    "train_cfg.max_iters": 45,
    "train_cfg.val_interval": 45,
}
PIXELS = Preprocessing(32, (0.5, 0.25, 0.125), (0.25, 0.5, 1.0))


@pytest.fixture
def streets(tiny: Tiny) -> Tiny:
    """A tiny profile with a few scenes of digits and a network to segment them with."""
    tiny.change("data", streets={"layout": "cityscapes", "derive": "digits", "images": 10})
    tiny.change("segment", dataset="streets", base=BASE, checkpoint_period=15, overrides=SMALL)
    data.run(tiny.context("data", dataset="streets"))
    write_network(tiny.root / "out/retrain/found/weights.safetensors", PIXELS, 3)
    return tiny


def train(profile: Tiny, log: Log = silent) -> dict[str, float]:
    return segment.run(profile.context("segment", log, row="found"))


def parameters(**overrides: Any) -> SegmentParams:
    return SegmentParams(dataset="cityscapes", seed=0, base=BASE, overrides=overrides, checkpoint_period=1000)


def test_without_overrides_only_backbone_pixels_data_and_environment_differ(tmp_path: Path) -> None:
    weights = write_network(tmp_path / "weights.safetensors", PIXELS, 3)
    scenes = Scenes(tmp_path, "cityscapes", CITYSCAPES_CLASSES)
    ours = segmenter_config(parameters(), scenes, weights, tmp_path / "work", torch.device("cpu"))
    changed = differences(framework_config(BASE), ours)
    datasets = {
        f"{split}_dataloader.dataset.{key}"
        for split in ("train", "val", "test")
        for key in ("type", "data_root", "data_prefix.img_path", "data_prefix.seg_map_path", "layout", "split")
    }
    backbone = {key for key in changed if key.startswith("model.backbone.")}
    assert changed.keys() - backbone == datasets | {
        *(f"{split}_dataloader.dataset.metainfo.classes" for split in ("train", "val", "test")),
        "model.pretrained",
        "model.data_preprocessor.mean",
        "model.data_preprocessor.std",
        "model.decode_head.in_channels",
        "model.auxiliary_head.in_channels",
        "train_dataloader.sampler.type",
        "train_dataloader.batch_size",  # one process takes the images of four
        "default_hooks.checkpoint",
        *(f"default_hooks.checkpoint.{key}" for key in ("type", "by_epoch", "interval")),
        "work_dir",
        "randomness.seed",
        "log_level",
    }
    assert changed.keys().isdisjoint({"model.backbone.norm_cfg.type", "model.backbone.norm_eval"})
    assert changed["model.data_preprocessor.mean"][1] == [127.5, 63.75, 31.875]


def test_syncbn_with_several_gpus(tmp_path: Path) -> None:
    weights = write_network(tmp_path / "weights.safetensors", PIXELS, 3)
    scenes = Scenes(tmp_path, "cityscapes", CITYSCAPES_CLASSES)
    ours = segmenter_config(parameters(), scenes, weights, tmp_path, torch.device("cuda"), processes=4)
    assert ours.model.backbone.norm_cfg.type == ours.model.decode_head.norm_cfg.type == "SyncBN"
    assert ours.launcher == "pytorch"


@pytest.mark.parametrize(
    ("overrides", "processes", "each"),
    [({}, 1, 8), ({}, 2, 4), ({}, 4, 2), ({"train_dataloader.batch_size": 6}, 1, 6),
     ({"train_dataloader.batch_size": 6}, 3, 2)],
)  # fmt: skip
def test_a_step_has_the_same_images_in_any_number_of_processes(
    tmp_path: Path, overrides: dict[str, Any], processes: int, each: int
) -> None:
    weights = write_network(tmp_path / "weights.safetensors", PIXELS, 3)
    place = Scenes(tmp_path, "cityscapes", CITYSCAPES_CLASSES), weights, tmp_path, torch.device("cpu")
    assert segmenter_config(parameters(**overrides), *place, processes).train_dataloader.batch_size == each
    with pytest.raises(GenasError, match=r"the \d images of a step cannot be shared by 5 processes"):
        segmenter_config(parameters(**overrides), *place, 5)


def test_an_unknown_override_and_an_unknown_base_are_named(tmp_path: Path) -> None:
    weights = write_network(tmp_path / "weights.safetensors", PIXELS, 3)
    scenes = Scenes(tmp_path, "cityscapes", CITYSCAPES_CLASSES)
    wrong = parameters(**{"model.decode_head.colour": 3})
    with pytest.raises(GenasError, match=r"no key 'model.decode_head.colour'"):
        segmenter_config(wrong, scenes, weights, tmp_path, torch.device("cpu"))
    with pytest.raises(GenasError, match=r"no configuration 'deeplabv9.py'"):
        framework_config("deeplabv9.py")


def test_the_stage_leaves_its_files_and_percentages(streets: Tiny) -> None:
    metrics = train(streets)
    assert set(metrics) == {"miou", "macc", "aacc", "params", "macs"}
    assert all(0 <= metrics[name] <= 100 for name in ("miou", "macc", "aacc"))
    assert metrics["aacc"] > 50, "background alone is more than that"
    out = streets.root / "out/segment/found"
    assert {path.name for path in out.iterdir()} == {
        "weights.safetensors",
        "history.csv",
        "segmentations.png",
        "config.py",
    }
    assert (out / "history.csv").read_text().splitlines()[-1].startswith("45,")
    assert str(streets.root) not in (out / "config.py").read_text()


def test_a_killed_run_ends_with_the_bytes_of_an_unbroken_one(streets: Tiny) -> None:
    whole = train(streets)
    names = ("weights.safetensors", "history.csv")
    expected = {name: streets.bytes_of("segment", "found", name) for name in names}
    for name in names:
        (streets.root / "out/segment/found" / name).unlink()
    with pytest.raises(Killed):
        train(streets, kill_at(40))
    assert list(streets.root.glob(".scratch/segment-*/state.pt"))
    steps: list[int] = []
    assert train(streets, lambda step, values: steps.append(step)) == whole
    assert steps == [40, 45], "it went on from iteration 30"
    assert {name: streets.bytes_of("segment", "found", name) for name in names} == expected
    assert not list(streets.root.glob(".scratch/segment-*"))


def test_two_processes_leave_one_set_of_files(streets: Tiny) -> None:
    # BatchNorm needs two images in each.
    streets.change("segment", overrides={**SMALL, "train_dataloader.batch_size": 4})
    done = run_stage(streets.root, "segment", "row=found", processes=2)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") <= 1, "of the framework's own warnings each once"
    metrics = json.loads(streets.bytes_of("segment", "found", "metrics.json"))
    assert set(metrics) == {"miou", "macc", "aacc", "params", "macs"}
    history = streets.bytes_of("segment", "found", "history.csv").decode().splitlines()
    assert [line.split(",")[0] for line in history] == ["iteration", "20", "40", "45"]
    assert not list((streets.root / ".scratch").iterdir())


def test_of_two_processes_one_tells_of_a_mistake(streets: Tiny) -> None:
    """The first process alone looks through the data; the other waits for it."""
    root = data.dataset_root(streets.context("segment", row="found"), "streets")
    label = sorted((root / "gtFine/train").rglob("*.png"))[0]
    Image.fromarray(np.full((128, 128), 77, dtype=np.uint8)).save(label)
    done = run_stage(streets.root, "segment", "row=found", processes=2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {label}: label 77, expected 0 to 10 or 255 (ignored)\n"


def test_a_photograph_shows_through_its_labels_and_ignored_pixels_stay() -> None:
    image = np.full((1, 3, 3), 100, dtype=np.uint8)
    mixed = segment.overlay(image, np.array([[0, 1, 255]]), np.array([[0, 0, 0], [200, 200, 200]], dtype=np.uint8))
    assert mixed[0, :, 0].tolist() == [45, 155, 100]
    assert image.max() == 100


@pytest.mark.parametrize("classes", [2, 11, 19, 20, 40])
def test_every_class_has_a_colour_of_its_own(classes: int) -> None:
    palette = segment.colours(classes)
    assert palette.shape == (classes, 3)
    assert len({tuple(colour) for colour in palette.tolist()}) == classes
    if classes == 19:
        assert palette[CITYSCAPES_CLASSES.index("road")].tolist() == [128, 64, 128], "Cityscapes' own"


def test_the_sampler_starts_anywhere() -> None:
    def stream(skip: int, count: int) -> list[tuple[int, int]]:
        sampler = ResumableSampler(range(5), seed=3)
        sampler.skip(skip)
        return [tuple(draw) for draw in itertools.islice(sampler, count)]

    whole = stream(0, 17)
    assert stream(8, 9) == whole[8:]
    assert sorted(index for index, _ in whole[:5]) == list(range(5)), "one pass sees every image once"
    assert len({seed for _, seed in whole}) == len(whole)


def test_a_broken_image_is_named(streets: Tiny) -> None:
    root = data.dataset_root(streets.context("segment", row="found"), "streets")
    image = sorted((root / "leftImg8bit/train").rglob("*.png"))[2]
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(GenasError, match=f"{image.name}: broken image"):
        train(streets)


def test_an_image_without_labels_and_an_impossible_label_are_named(streets: Tiny) -> None:
    root = data.dataset_root(streets.context("segment", row="found"), "streets")
    label = sorted((root / "gtFine/train").rglob("*.png"))[0]
    Image.fromarray(np.full((128, 128), 77, dtype=np.uint8)).save(label)
    with pytest.raises(GenasError, match=f"{label.name}: label 77, expected 0 to 10"):
        check_scenes(find_scenes(root, "cityscapes", "train"), 11)
    label.unlink()
    with pytest.raises(GenasError, match="no label file"):
        find_scenes(root, "cityscapes", "train")
    with pytest.raises(GenasError, match="no such folder"):
        find_scenes(root, "cityscapes", "test")


def test_labels_as_cityscapes_publishes_them(tmp_path: Path) -> None:
    """Where only label ids exist they are read as train ids, by the framework's own loader."""
    for kind, ending, value in (("leftImg8bit", "_leftImg8bit", 100), ("gtFine", "_gtFine_labelIds", 26)):
        folder = tmp_path / kind / "val" / "town"
        folder.mkdir(parents=True)
        shape = (8, 16, 3) if kind == "leftImg8bit" else (8, 16)
        Image.fromarray(np.full(shape, value, dtype=np.uint8)).save(folder / f"town_000000_000019{ending}.png")
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = SceneDataset(
        layout="cityscapes",
        split="val",
        data_root=str(tmp_path),
        metainfo={"classes": CITYSCAPES_CLASSES},
        pipeline=pipeline,
    )
    assert CITYSCAPES_CLASSES[TRAIN_IDS[26]] == "car"
    assert set(np.unique(dataset[0]["gt_seg_map"])) == {TRAIN_IDS[26]}


@pytest.mark.parametrize(("name", "layout", "split", "count"), [("camvid", "camvid", "val", 51)])
def test_real_scenes_are_complete(name: str, layout: str, split: str, count: int) -> None:
    root = data_root() / name
    if not root.is_dir():
        pytest.skip(f"{root} is missing (GENAS_DATA sets the data root)")
    scenes = find_scenes(root, layout, split)
    assert len(scenes) == count
    check_scenes(scenes, 11)
