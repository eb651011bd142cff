"""DeepLab-v3 in MMSegmentation: what is replaced in its configuration, the readers, and resuming."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import mmseg
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.utils import register_all_modules
from PIL import Image
from pydantic import ValidationError
from torch import nn

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing
from genas.pipeline.config import SegmentParams, data_root
from genas.pipeline.context import Log, silent
from genas.pipeline.data import stage as data
from genas.pipeline.data.reading.scenes import TRAIN_IDS, check_scenes, find_scenes
from genas.pipeline.transfer.segment import stage as segment
from genas.pipeline.transfer.segment.config import Setting, configure, differences, framework_config
from genas.pipeline.transfer.segment.data import (
    CITYSCAPES_CLASSES,
    ResumableSampler,
    SceneDataset,
)
from genas.pipeline.transfer.segment.examples import write_examples
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
    tiny.change(
        "data", streets={"layout": "cityscapes", "digest": "content", "derive": "digits", "seed": 0, "images": 10}
    )
    tiny.change("segment", dataset="streets", base=BASE, checkpoint_period=15, overrides=SMALL)
    data.run(tiny.context("data", dataset="streets"))
    write_network(tiny.root / "out/retrain/found/weights.safetensors", PIXELS, 3)
    return tiny


def train(profile: Tiny, log: Log = silent) -> dict[str, float]:
    metrics = segment.run(profile.context("segment", log, row="found"))
    assert metrics is not None
    return metrics


def setting(tmp_path: Path, device: str = "cpu", processes: int = 1) -> Setting:
    """A row of Cityscapes' layout and classes with a small network."""
    checkpoint = write_network(tmp_path / "weights.safetensors", PIXELS, 3)
    place = torch.device(device), tmp_path / "work", processes
    return Setting(checkpoint, tmp_path, "cityscapes", CITYSCAPES_CLASSES, *place)


def parameters(**overrides: Any) -> SegmentParams:
    return SegmentParams(dataset="cityscapes", seed=0, base=BASE, overrides=overrides, checkpoint_period=1000)


def test_without_overrides_only_backbone_pixels_data_and_environment_differ(tmp_path: Path) -> None:
    changed = differences(BASE, configure(parameters(), setting(tmp_path)))
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
    ours = configure(parameters(), setting(tmp_path, "cuda", processes=4))
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
    cfg = configure(parameters(**overrides), setting(tmp_path, processes=processes))
    assert cfg.train_dataloader.batch_size == each
    with pytest.raises(GenasError, match=r"^segment: the \d images of a step cannot be shared by 5 processes$"):
        configure(parameters(**overrides), setting(tmp_path, processes=5))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model.decode_head.colour": 3}, "unknown key 'model.decode_head.colour', expected a key of the fr"),
        ({"model.decode_head.dilations.colour": 3}, "unknown key 'model.decode_head.dilations.colour'"),
        ({"train_dataloader.dataset.pipeline.9.scale": 3}, "unknown key 'train_dataloader.dataset.pipeline.9.scale'"),
        ({"model.backbone.depth": 18}, "unknown key 'model.backbone.depth'"),
        ({"work_dir": "elsewhere"}, "work_dir cannot be overridden, the segment stage decides it"),
        ({"model.backbone": {"with_cp": True, "checkpoint": "x"}}, "model.backbone.checkpoint cannot be overridden"),
        ({"default_hooks.checkpoint.interval": 5}, "default_hooks.checkpoint.interval cannot be overridden"),
        ({"train_dataloader.sampler": None}, "train_dataloader.sampler cannot be overridden"),
        ({"load_from": "x.pth"}, "load_from: load_from cannot be overridden"),
        ({"default_scope": "os"}, "default_scope: default_scope cannot be overridden"),
        ({"custom_imports": {"imports": ["os"]}}, "custom_imports.imports: custom_imports cannot be overridden"),
        ({"custom_hooks": [{"type": "CheckpointHook"}]}, "custom_hooks.0.type: custom_hooks cannot be overridden"),
        ({"model.decode_head.type": "FCNHead"}, "model.decode_head.type: type cannot be overridden"),
        ({"model.decode_head": {"init_cfg": {"checkpoint": "x.pth"}}}, "model.decode_head.init_cfg.checkpoint: init_c"),
        ({"default_hooks": {"mine": {"type": "LoggerHook"}}}, "default_hooks.mine.type: type cannot be overridden"),
        ({"tta_pipeline.1.transforms": [[{"type": "Resize"}]]}, "tta_pipeline.1.transforms.0.type: type cannot be"),
        ({"model.decode_head.loss_decode": {"_delete_": True}}, "model.decode_head.loss_decode._delete_: _delete_ can"),
        (
            {"model.decode_head.loss_decode": {"class_weight": "x.pkl"}},
            "model.decode_head.loss_decode.class_weight is",
        ),
        (
            {"val_evaluator": {"output_dir": "/tmp"}},
            "val_evaluator.output_dir is '/tmp', but the framework's config",
        ),
        ({"model.decode_head.channels": "8"}, "model.decode_head.channels is '8', expected a number like 512"),
        ({"model.decode_head.align_corners": 1}, "model.decode_head.align_corners is 1, expected true or false like"),
        ({"train_cfg.max_iters": 0}, "train_cfg.max_iters is 0, expected a number above 0"),
        ({"train_cfg.val_interval": -5}, "train_cfg.val_interval is -5, expected a number above 0"),
        ({"train_dataloader.batch_size": 0}, "train_dataloader.batch_size is 0, expected a number above 0"),
        ({"optim_wrapper.optimizer.lr": -0.1}, "optim_wrapper.optimizer.lr is -0.1, expected a number above 0"),
        ({"optim_wrapper.optimizer.lr": math.nan}, "optim_wrapper.optimizer.lr is nan, expected a finite number"),
        ({"optim_wrapper": None}, "optim_wrapper.optimizer.lr is None, expected a number above 0"),
    ],
)
def test_a_wrong_override_is_one_line(tmp_path: Path, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(GenasError) as error:
        configure(parameters(**overrides), setting(tmp_path))
    assert str(error.value).startswith(f"segment.overrides: {message}")
    assert "\n" not in str(error.value)


def test_overrides_are_in_the_frameworks_keys_and_types(tmp_path: Path) -> None:
    overrides = {
        "model.decode_head.dilations": [1, 2, 4, 6],
        "model.decode_head.loss_decode": {"class_weight": [2.0] * 19},
        "optim_wrapper.clip_grad": {"max_norm": 1.0},
        "train_dataloader.dataset.pipeline.4.prob": 0.0,
        "model.backbone.with_cp": True,
    }
    changed = differences(BASE, configure(parameters(**overrides), setting(tmp_path)))
    assert changed.keys() - differences(BASE, configure(parameters(), setting(tmp_path))).keys() == {
        "model.decode_head.dilations",
        "model.decode_head.loss_decode.class_weight",
        "optim_wrapper.clip_grad",
        "optim_wrapper.clip_grad.max_norm",
        "train_dataloader.dataset.pipeline.4.prob",
    }
    assert changed["model.decode_head.dilations"][1] == (1, 2, 4, 6)
    assert changed["model.backbone.with_cp"][1] is True


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("deeplabv9.py", "segment.base: the installed MMSegmentation"),
        (
            "segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py",
            "EncoderDecoder over MixVisionTransformer, expected EncoderDecoder over a ResNet",
        ),
        ("_base_/datasets/cityscapes.py", "None over None, expected EncoderDecoder over a ResNet"),
    ],
)
def test_a_wrong_base_is_one_line(base: str, message: str) -> None:
    with pytest.raises(GenasError) as error:
        framework_config(base)
    assert message in str(error.value)
    assert base in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("way", ["up", "absolute"])
def test_a_configuration_from_elsewhere_is_not_run(tmp_path: Path, way: str) -> None:
    bomb, ran = tmp_path / "bomb.py", tmp_path / "ran"
    bomb.write_text(f"import os\nos.mkdir({str(ran)!r})\n")
    folder = Path(mmseg.__file__).parent / ".mim" / "configs"
    base = str(bomb) if way == "absolute" else os.path.relpath(bomb, folder.resolve())
    with pytest.raises(GenasError, match=r"segment\.base: .* has no configuration"):
        framework_config(base)
    with pytest.raises(ValidationError, match="not a path below the framework's configurations"):
        SegmentParams(dataset="cityscapes", seed=0, base=base, overrides={}, checkpoint_period=1000)
    assert not ran.exists()


@pytest.mark.parametrize(
    "overrides",
    [
        {"model.decode_head.channels": -8},
        {"train_cfg": 5},
        *(
            pytest.param(overrides, marks=pytest.mark.slow)
            for overrides in (
                {"model.decode_head.loss_decode": {"colour": 3}},
                {"optim_wrapper.optimizer.momentum": -1.0},
                {"param_scheduler.0.end": -5},
                {"train_dataloader.num_workers": -1},
                {"train_dataloader.dataset.pipeline.3.crop_size": [0, 0]},
                {"val_dataloader.dataset.pipeline.1.scale": [-64, -64]},
            )
        ),
    ],
)
def test_what_cannot_be_built_is_said_before_training(streets: Tiny, overrides: dict[str, Any]) -> None:
    streets.change("segment", overrides={**SMALL, **overrides})
    with pytest.raises(GenasError, match=r"^segment\.overrides: ") as error:
        train(streets)
    assert "\n" not in str(error.value)


def test_the_stage_leaves_its_files_and_percentages(streets: Tiny) -> None:
    metrics = train(streets)
    assert set(metrics) == {"miou", "macc", "aacc", "params", "macs"}
    assert all(0 <= metrics[name] <= 100 for name in ("miou", "macc", "aacc"))
    assert metrics["aacc"] > 50, "background alone is more than that"
    out = streets.root / "out/segment/found"
    assert {path.name for path in out.iterdir()} == {
        "weights.safetensors",
        "history.csv",
        "examples",
        "config.py",
    }
    assert (out / "history.csv").read_text().splitlines()[-1].startswith("45,")
    assert str(streets.root) not in (out / "config.py").read_text()


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bytes_of_an_unbroken_one(streets: Tiny) -> None:
    whole = train(streets)
    names = ("weights.safetensors", "history.csv", "config.py", "examples/0-prediction.png")
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_of_two_processes_one_tells_of_a_mistake(streets: Tiny) -> None:
    """The first process alone looks through the data; the other waits for it."""
    root = data.dataset_root(streets.context("segment", row="found"), "streets")
    label = sorted((root / "gtFine/train").rglob("*.png"))[0]
    Image.fromarray(np.full((128, 128), 77, dtype=np.uint8)).save(label)
    done = run_stage(streets.root, "segment", "row=found", processes=2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {label}: label 77, expected 0 to 10 or 255 (ignored)\n"


class NextClass(nn.Module):
    """Predicts the class after the labelled one for every pixel, the first after the last."""

    def test_step(self, batch: dict[str, Any]) -> list[Any]:
        (sample,) = batch["data_samples"]
        sample.pred_sem_seg = PixelData(data=(sample.gt_sem_seg.data + 1) % 11)
        return [sample]


@pytest.fixture(autouse=True)
def _registered() -> None:
    """MMSegmentation's parts are known by name, as they are in a stage."""
    register_all_modules(init_default_scope=False)


def test_examples_are_images_and_class_ids(streets: Tiny) -> None:
    root = data.dataset_root(streets.context("segment", row="found"), "streets")
    scenes = find_scenes(root, "cityscapes", "val")
    ids = np.asarray(Image.open(scenes[0].label)).copy()
    ids[:8] = 255
    Image.fromarray(ids).save(scenes[0].label)
    classes = tuple(str(i) for i in range(11))
    pipeline = framework_config(BASE).val_dataloader.dataset.pipeline
    place = {"layout": "cityscapes", "split": "val", "data_root": str(root), "metainfo": {"classes": classes}}
    folder = streets.root / "examples"
    (folder / "9-image.png").mkdir(parents=True)
    write_examples(folder, SceneDataset(**place, pipeline=pipeline), NextClass(), classes)

    chosen = [scenes[i] for i in sorted({int(i) for i in np.linspace(0, len(scenes) - 1, 4)})]
    names = [[f"{i}-{kind}.png" for kind in ("image", "labels", "prediction")] for i in range(len(chosen))]
    assert {path.name for path in folder.iterdir()} == {"classes.json", *itertools.chain(*names)}
    assert json.loads((folder / "classes.json").read_text()) == list(classes)
    for scene, trio in zip(chosen, names, strict=True):
        pictures = [Image.open(folder / name) for name in trio]
        assert [picture.mode for picture in pictures] == ["RGB", "L", "L"]
        image, labels, prediction = (np.asarray(picture) for picture in pictures)
        assert np.array_equal(image, np.asarray(Image.open(scene.image).convert("RGB")))
        assert np.array_equal(labels, np.asarray(Image.open(scene.label)))
        assert np.array_equal(prediction, (labels.astype(int) + 1) % 11)


@pytest.mark.slow
def test_a_diverging_loss_is_one_line(streets: Tiny) -> None:
    streets.change("segment", overrides={**SMALL, "optim_wrapper.optimizer.lr": 1e20})
    with pytest.raises(GenasError) as error:
        train(streets)
    assert re.fullmatch(
        r"segment: the loss is no longer finite at iteration \d+: "
        r"lower optim_wrapper\.optimizer\.lr or set optim_wrapper\.clip_grad in segment\.overrides",
        str(error.value),
    )


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
    with pytest.raises(GenasError, match=rf"{image.name}: not a readable image \("):
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
