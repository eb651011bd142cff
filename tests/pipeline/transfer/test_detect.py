"""The detect stage: its configuration, its data, its order of batches, its measures, and a run killed and taken up."""

from __future__ import annotations

import copy
import csv
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import detectron2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, DatasetMapper, build_detection_train_loader
from detectron2.data.samplers import TrainingSampler
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing
from genas.pipeline.config import DetectParams
from genas.pipeline.context import Log, silent
from genas.pipeline.data import stage as data
from genas.pipeline.data.reading import coco
from genas.pipeline.data.reading.coco import check_instances
from genas.pipeline.transfer.detect import stage as detect
from genas.pipeline.transfer.detect.config import Setting, configure, differences, framework_config
from genas.pipeline.transfer.detect.data import (
    GuardedMapper,
    SeededSamples,
    index_batches,
    register,
    train_loader,
    val_loader,
)
from genas.pipeline.transfer.detect.examples import best_boxes, predict, write_examples
from genas.pipeline.transfer.frameworks.configuration import shipped
from tests.conftest import Killed, Tiny, kill_at, run_stage
from tests.networks import write_network

pytestmark = [
    # pycocotools and Detectron2's anchors, called from parts that the stage's own filter does not cover
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),
    # Detectron2 reports an empty result with a deprecated spelling of logger.warning
    pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning"),
]

BASE = "COCO-Detection/retinanet_R_50_FPN_1x.yaml"
SMALL: dict[str, Any] = {
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 24,
    "SOLVER.STEPS": [10],
    "SOLVER.WARMUP_ITERS": 5,
    "SOLVER.CLIP_GRADIENTS.ENABLED": True,
    "INPUT.MIN_SIZE_TRAIN": [48, 64],
    "INPUT.MIN_SIZE_TEST": 64,
    "MODEL.FPN.OUT_CHANNELS": 8,
    "MODEL.RETINANET.NUM_CONVS": 1,
    "MODEL.RETINANET.SCORE_THRESH_TEST": 0.001,
}
PIXELS = Preprocessing(32, (0.5, 0.25, 0.125), (0.25, 0.5, 1.0))


@pytest.fixture
def scenes(tiny: Tiny) -> Tiny:
    """A tiny profile with a few scenes of digits and a network to detect them with."""
    tiny.change("data", scenes={"layout": "coco", "digest": "content", "derive": "digits", "seed": 0, "images": 12})
    tiny.change("detect", dataset="scenes", categories=None, base=BASE, checkpoint_period=8, overrides=SMALL)
    data.run(tiny.context("data", dataset="scenes"))
    write_network(tiny.root / "out/retrain/found/weights.safetensors", PIXELS, 3)
    return tiny


def files(profile: Tiny) -> Path:
    return data.dataset_root(profile.context("detect", row="found"), "scenes")


def configured(profile: Tiny, **overrides: Any) -> CfgNode:
    """The configuration of the profile's row, its data registered."""
    train, val, classes = register("scenes", files(profile))
    checkpoint = profile.root / "out/retrain/found/weights.safetensors"
    setting = Setting(checkpoint, train, val, len(classes), torch.device("cpu"))
    keys = {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}}
    return configure(
        DetectParams(dataset="scenes", categories=None, seed=3, base=BASE, overrides=keys, checkpoint_period=8),
        setting,
    )


def parameters(**changes: Any) -> DetectParams:
    return DetectParams(
        **{
            "dataset": "coco",
            "categories": None,
            "seed": 0,
            "base": BASE,
            "overrides": {},
            "checkpoint_period": 5000,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    checkpoint = write_network(tmp_path_factory.mktemp("network") / "weights.safetensors", PIXELS, 3)
    return Setting(checkpoint, "some_train", "some_val", 80, torch.device("cpu"))


# Configuration


def test_without_overrides_only_backbone_pixels_data_and_output_differ(setting: Setting) -> None:
    changed = differences(BASE, configure(parameters(), setting))
    assert set(changed) == {
        "MODEL.BACKBONE.NAME",
        "MODEL.GENAS.CHECKPOINT",
        "MODEL.WEIGHTS",
        "MODEL.PIXEL_MEAN",
        "MODEL.PIXEL_STD",
        "INPUT.FORMAT",
        "MODEL.DEVICE",
        "DATASETS.TRAIN",
        "DATASETS.TEST",
        "DATALOADER.NUM_WORKERS",
        "SEED",
    }
    assert changed["MODEL.BACKBONE.NAME"] == (
        "build_retinanet_resnet_fpn_backbone",
        "build_retinanet_genas_fpn_backbone",
    )
    assert changed["MODEL.PIXEL_MEAN"][1] == [127.5, 63.75, 31.875]
    assert changed["MODEL.PIXEL_STD"][1] == [63.75, 127.5, 255.0]
    assert changed["INPUT.FORMAT"] == ("BGR", "RGB")


def test_on_a_gpu_the_loading_processes_are_the_frameworks(setting: Setting) -> None:
    gpu = Setting(setting.checkpoint, "a", "b", 80, torch.device("cuda"))
    cfg = configure(parameters(overrides={"SOLVER.AMP.ENABLED": True}), gpu)
    assert differences(BASE, cfg).keys().isdisjoint({"DATALOADER.NUM_WORKERS", "MODEL.DEVICE"})
    assert cfg.SOLVER.AMP.ENABLED


def test_overrides_are_in_the_frameworks_keys_and_types(setting: Setting) -> None:
    overrides = {"SOLVER.BASE_LR": 1, "SOLVER.STEPS": [5, 7], "INPUT.RANDOM_FLIP": "none"}
    cfg = configure(parameters(overrides=overrides), setting)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.STEPS, cfg.INPUT.RANDOM_FLIP) == (1.0, (5, 7), "none")
    assert type(cfg.SOLVER.BASE_LR) is float
    assert set(differences(BASE, cfg)) - set(differences(BASE, configure(parameters(), setting))) == set(overrides)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overrides": {"SOLVER.LR": 1.0}}, "detect.overrides: unknown key 'SOLVER.LR'"),
        ({"overrides": {"SOLVER": 1.0}}, "detect.overrides: unknown key 'SOLVER'"),
        ({"overrides": {"SOLVER": {"BASE_LR": 1.0}}}, "detect.overrides: unknown key 'SOLVER'"),
        ({"overrides": {"MODEL": {"WEIGHTS": "x"}}}, "MODEL.WEIGHTS cannot be overridden, the detect stage decides it"),
        ({"overrides": {"SOLVER.MAX_ITER": "many"}}, "SOLVER.MAX_ITER is 'many', expected a number like 90000"),
        ({"overrides": {"OUTPUT_DIR": "x"}}, "OUTPUT_DIR cannot be overridden"),
        ({"overrides": {"TEST.AUG.ENABLED": True}}, "TEST.AUG.ENABLED cannot be overridden"),
        ({"overrides": {"SOLVER.CHECKPOINT_PERIOD": 9}}, "SOLVER.CHECKPOINT_PERIOD cannot be overridden"),
        ({"overrides": {"SOLVER.AMP.ENABLED": True}}, "SOLVER.AMP.ENABLED needs a GPU, the device is cpu"),
        ({"overrides": {"SOLVER.MAX_ITER": 2.5}}, "SOLVER.MAX_ITER is 2.5, expected a int like 90000"),
        ({"overrides": {"SOLVER.MAX_ITER": 0}}, "SOLVER.MAX_ITER is 0, expected a number above 0"),
        ({"overrides": {"SOLVER.MAX_ITER": -1}}, "SOLVER.MAX_ITER is -1, expected a number above 0"),
        ({"overrides": {"SOLVER.IMS_PER_BATCH": 0}}, "SOLVER.IMS_PER_BATCH is 0, expected a number above 0"),
        ({"overrides": {"SOLVER.BASE_LR": -0.1}}, "SOLVER.BASE_LR is -0.1, expected a number above 0"),
        ({"overrides": {"SOLVER.BASE_LR": math.nan}}, "SOLVER.BASE_LR is nan, expected a finite number"),
        ({"overrides": {"SOLVER.STEPS": [math.inf]}}, "SOLVER.STEPS is inf, expected a finite number"),
        ({"overrides": {"MODEL.WEIGHTS": "x.pkl"}}, "MODEL.WEIGHTS cannot be overridden"),
        ({"overrides": {"MODEL.LOAD_PROPOSALS": True}}, "MODEL.LOAD_PROPOSALS cannot be overridden"),
        ({"overrides": {"DATASETS.PROPOSAL_FILES_TEST": ["x.pkl"]}}, "DATASETS.PROPOSAL_FILES_TEST cannot be over"),
        ({"overrides": {"MODEL.FPN.NORM": f"{'-' * 9999}1"}}, "MODEL.FPN.NORM is '-----"),
        ({"base": "COCO-Detection/nothing.yaml"}, "detect.base: the installed Detectron2"),
        ({"base": "COCO-Detection/retinanet_R_50_FPN_1x.py"}, "no configuration 'COCO-Detection/retinanet_R_50_FPN"),
        ({"base": "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml"}, "is a GeneralizedRCNN, expected a RetinaNet"),
    ],
)
def test_wrong_parameters_are_one_line(setting: Setting, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GenasError) as error:
        configure(parameters(**changes), setting)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("way", ["up", "absolute", "link"])
def test_a_configuration_from_elsewhere_is_not_read(tmp_path: Path, way: str) -> None:
    """The framework reads YAML with ``unsafe_load``, which runs what a file says."""
    bomb, ran = tmp_path / "bomb.yaml", tmp_path / "ran"
    bomb.write_text(f"!!python/object/apply:os.mkdir [{ran}]")
    folder = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    base = str(bomb) if way == "absolute" else os.path.relpath(bomb, folder.resolve())
    with pytest.raises(GenasError, match=r"detect\.base: .* has no configuration"):
        framework_config(base)
    if way == "link":
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs/x.yaml").symlink_to(bomb)
        with pytest.raises(GenasError, match="has no configuration"):
            shipped("detect", "Detectron2", tmp_path / "configs", "x.yaml", "y.yaml")
    else:
        with pytest.raises(ValidationError, match="not a path below the framework's configurations"):
            parameters(base=base)
    assert not ran.exists()


# Data


def rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    def spoil(root: Path) -> None:
        path = root / "annotations/instances_val2017.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "annotations/instances_val2017.json").unlink(), "val2017.json: no such file"),
        (lambda root: (root / "annotations/instances_val2017.json").write_text("{"), "not a COCO instances file"),
        (rewrite(lambda c: c.pop("categories")), "not a COCO instances file (KeyError: 'categories')"),
        (rewrite(lambda c: c.update(annotations=[])), "val2017.json: no annotations"),
        (lambda root: next((root / "val2017").iterdir()).unlink(), ".png does not exist"),
        (rewrite(lambda c: c["annotations"][1].update(category_id=99)), "annotation 2 has unknown category_id 99"),
        (rewrite(lambda c: c["annotations"][1].update(image_id=-5)), "annotation 2 has unknown image_id -5"),
        (rewrite(lambda c: c["annotations"][1].update(id=1)), "annotation id 1 is given twice"),
        (
            rewrite(lambda c: c["annotations"][1].update(bbox=[900, 0, 10, 10])),
            "box [900, 0, 10, 10] of annotation 2 lies outside its image 0000",
        ),
        (rewrite(lambda c: c["annotations"][1].update(bbox=[5, 5, -1, 10])), "of annotation 2 has a negative size"),
        (rewrite(lambda c: c["categories"][0].update(name="other")), "have different categories"),
    ],
)
def test_wrong_data_is_one_line(scenes: Tiny, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(files(scenes))
    with pytest.raises(GenasError) as error:
        register("scenes", files(scenes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_box_may_exceed_its_image_by_a_rounded_pixel(scenes: Tiny) -> None:
    root = files(scenes)
    image = json.loads((root / "annotations/instances_val2017.json").read_text())["images"][0]
    rewrite(lambda c: c["annotations"][0].update(bbox=[-0.5, 0, image["width"] + 1.0, 0]))(root)
    annotations = root / "annotations/instances_val2017.json"
    assert check_instances(annotations, root / "val2017") == [str(i) for i in range(10)]


def test_registering_again_takes_the_new_folder(scenes: Tiny, tmp_path: Path) -> None:
    names = register("scenes", files(scenes))
    moved = tmp_path / "moved"
    files(scenes).rename(moved)
    assert register("scenes", moved) == names
    assert all(Path(record["file_name"]).is_relative_to(moved) for record in DatasetCatalog.get(names[0]))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["truncated", "resized"])
def test_a_bad_image_is_named(scenes: Tiny, damage: str, workers: int) -> None:
    cfg = configured(scenes, DATALOADER__NUM_WORKERS=workers)
    path = sorted((files(scenes) / "train2017").iterdir())[4]
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    else:
        Image.new("RGB", (20, 20)).save(path)
    with pytest.raises(GenasError) as error:
        list(itertools.islice(train_loader(cfg, 0), 12))
    assert str(error.value).startswith(f"{path}: not a readable image (")
    assert "\n" not in str(error.value)


# Order


def test_batches_hold_images_of_one_aspect() -> None:
    wide = [True, False, False, True, True, False, True]
    batches = list(itertools.islice(index_batches(wide, 3, seed=0), 40))
    assert all(len({wide[i] for i in batch}) == 1 and len(batch) == 3 for batch in batches)
    assert set(itertools.chain(*batches)) == set(range(7))


def test_an_ungrouped_round_shows_every_image_once() -> None:
    batches = itertools.islice(index_batches([False] * 6, 2, seed=1), 6)
    order = list(itertools.chain(*batches))
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6))
    assert order[:6] != order[6:]


def test_order_is_the_frameworks_own(scenes: Tiny) -> None:
    """The same images in the same batches as Detectron2's loader with the same seed, tall and wide ones mixed."""
    cfg = configured(scenes)
    records = DatasetCatalog.get(cfg.DATASETS.TRAIN[0])
    rng = np.random.default_rng(0)
    for record in records:
        record["width"], record["height"] = (int(v) for v in rng.integers(50, 60, 2))
    framework = build_detection_train_loader(
        copy.deepcopy(records),
        mapper=lambda record: {key: record[key] for key in ("image_id", "width", "height")},
        sampler=TrainingSampler(len(records), seed=7),
        total_batch_size=2,
    )
    expected = [[sample["image_id"] for sample in batch] for batch in itertools.islice(framework, 20)]
    ours = itertools.islice(index_batches([r["width"] > r["height"] for r in records], 2, seed=7), 20)
    assert [[records[i]["image_id"] for i in batch] for batch in ours] == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_begun_in_the_middle_gives_the_same_samples(scenes: Tiny, workers: int) -> None:
    whole = list(itertools.islice(train_loader(configured(scenes), 0), 7))
    np.random.seed(99)
    rest = list(itertools.islice(train_loader(configured(scenes, DATALOADER__NUM_WORKERS=workers), 4), 3))
    for expected, found in zip(whole[4:], rest, strict=True):
        for a, b in zip(expected, found, strict=True):
            assert a["file_name"] == b["file_name"]
            assert torch.equal(a["image"], b["image"])
            assert torch.equal(a["instances"].gt_boxes.tensor, b["instances"].gt_boxes.tensor)
    sizes = {tuple(sample["image"].shape[-2:]) for batch in whole for sample in batch}
    assert sizes == {(48, 48), (64, 64)}, "augmentation draws"


def test_augmentation_is_a_function_of_the_place_in_the_run(scenes: Tiny) -> None:
    cfg = configured(scenes)
    samples = SeededSamples(DatasetCatalog.get(cfg.DATASETS.TRAIN[0]), GuardedMapper(DatasetMapper(cfg, True)), seed=3)

    def image(*place: int) -> bytes:
        return samples[(0, *place)]["image"].numpy().tobytes()

    places = list(itertools.product(range(4), (0, 1), range(4)))
    drawn = {place: image(*place) for place in places}
    assert {place: image(*place) for place in reversed(places)} == drawn
    for axis in range(3):
        start = (0, 0, 0)
        along = [place for place in places if all(place[i] == start[i] for i in range(3) if i != axis)]
        more = [tuple(9 * i + 5 if j == axis else 0 for j in range(3)) for i in range(6)]
        assert len({drawn[place] for place in along} | {image(*place) for place in more}) > 1, axis


# Measures


class Oracle(nn.Module):
    """Predicts the boxes that it is told, with scores that decrease."""

    test_score_thresh = 0.5

    def __init__(self, records: list[dict[str, Any]], classes: Callable[[int], int]) -> None:
        super().__init__()
        self.records, self.classes = {record["image_id"]: record for record in records}, classes

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Instances]]:
        results = []
        for sample in batch:
            annotations = self.records[sample["image_id"]]["annotations"]
            boxes = torch.tensor([a["bbox"] for a in annotations], dtype=torch.float32)
            found = Instances((sample["height"], sample["width"]))
            found.pred_boxes = Boxes(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1))
            found.scores = torch.linspace(0.9, 0.8, len(boxes))
            found.pred_classes = torch.tensor([self.classes(a["category_id"]) for a in annotations])
            results.append({"instances": found})
        return results


def test_some_categories_alone_are_learned_and_evaluated(scenes: Tiny) -> None:
    whole, val = (json.loads(coco.files_of_split(files(scenes), split)[0].read_text()) for split in coco.SPLITS)
    wanted = sorted({a["category_id"] for a in val["annotations"]})[:2]
    names = [next(record["name"] for record in val["categories"] if record["id"] == key) for key in wanted]
    scenes.change("detect", categories=names[::-1])
    cfg, scratch, classes = detect._prepare(scenes.context("detect", row="found"))
    assert classes == names
    assert cfg.MODEL.RETINANET.NUM_CLASSES == 2
    records = DatasetCatalog.get(cfg.DATASETS.TRAIN[0])
    assert len(records) == len(whole["images"])
    found = sorted(classes[a["category_id"]] for record in records for a in record["annotations"])
    known = {record["id"]: record["name"] for record in whole["categories"]}
    assert found == sorted(known[a["category_id"]] for a in whole["annotations"] if known[a["category_id"]] in classes)
    truth = DatasetCatalog.get(cfg.DATASETS.TEST[0])
    assert detect.evaluate(cfg, Oracle(truth, lambda label: label))["ap"] == pytest.approx(100.0)
    scratch.close()
    scenes.change("detect", categories=[names[0], "dog"])
    with pytest.raises(GenasError, match=r"instances_train2017.json: no category is called 'dog'$"):
        detect._prepare(scenes.context("detect", row="found"))


def test_the_truth_has_precision_100_and_wrong_classes_0(scenes: Tiny) -> None:
    cfg = configured(scenes)
    records = DatasetCatalog.get(cfg.DATASETS.TEST[0])
    perfect = detect.evaluate(cfg, Oracle(records, lambda label: label))
    assert perfect == pytest.approx({"ap": 100.0, "ap50": 100.0, "ap75": 100.0})
    assert detect.evaluate(cfg, Oracle(records, lambda label: 9 - label))["ap"] < 30


def test_no_prediction_is_precision_0(scenes: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    cfg = configured(scenes, MODEL__RETINANET__SCORE_THRESH_TEST=1.0)
    assert detect.evaluate(cfg, build_model(cfg)) == {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
    assert "predicts no box on genas_coco_scenes_val" in caplog.text


def test_macs_of_one_more_convolution(scenes: Tiny) -> None:
    """Each of the two subnets gains 8 x 8 x 3 x 3 multiply-adds a position of the levels P3 to P7."""
    sample = DatasetMapper(configured(scenes), False)(DatasetCatalog.get("genas_coco_scenes_val")[0])
    assert sample["image"].shape == (3, 64, 64)
    sample["image"] = sample["image"][:, :, :40]
    one, two = (
        detect.cost(build_model(configured(scenes, MODEL__RETINANET__NUM_CONVS=n)), sample)["macs"] for n in (1, 2)
    )
    positions = 8 * 8 + 4 * 4 + 2 * 2 + 1 + 1  # 40 columns are padded to 64
    assert two - one == 2 * 8 * 8 * 9 * positions


# Examples


def predicted(*scores: float) -> Instances:
    """Boxes with these scores, each begun at its place in the list, 4 pixels wide and 2 high; the last of class 1."""
    instances = Instances((10, 10))
    x = torch.arange(len(scores)).float()
    instances.pred_boxes = Boxes(torch.stack([x, x, x + 4, x + 2], dim=1))
    instances.scores, instances.pred_classes = torch.tensor(scores), (x == len(scores) - 1).long()
    return instances


def test_the_best_boxes_come_first_however_low_their_scores() -> None:
    assert best_boxes(predicted(0.01234567, 0.5, 0.9), ["cat", "dog"]) == [
        {"box": [2.0, 2.0, 4.0, 2.0], "label": "dog", "score": 0.9},
        {"box": [1.0, 1.0, 4.0, 2.0], "label": "cat", "score": 0.5},
        {"box": [0.0, 0.0, 4.0, 2.0], "label": "cat", "score": 0.0123},
    ]
    assert best_boxes(predicted(), ["cat"]) == []
    shown = best_boxes(predicted(*(i / 100 for i in range(30)), 0.5), ["cat", "dog"])
    assert [box["score"] for box in shown] == [0.5, *(i / 100 for i in range(29, 10, -1))]


def test_examples_see_boxes_below_the_evaluations_threshold(scenes: Tiny) -> None:
    cfg = configured(scenes, MODEL__RETINANET__SCORE_THRESH_TEST=0.99)
    model, sample = build_model(cfg), next(iter(val_loader(cfg)))[0]
    assert len(predict(model, sample)) >= 20
    assert model.test_score_thresh == 0.99


def test_examples_are_photographs_and_their_boxes(scenes: Tiny) -> None:
    """Of a detector that predicts the truth, both lists are the file's own boxes."""
    rewrite(lambda c: c["annotations"][0].update(bbox=[1.23456, 2, 30.005, 20]))(files(scenes))
    cfg = configured(scenes)
    records = DatasetCatalog.get(cfg.DATASETS.TEST[0])[:4]
    folder, classes = scenes.root / "examples", [f"digit {i}" for i in range(10)]
    (folder / "9.png").mkdir(parents=True)
    write_examples(folder, cfg, Oracle(records, lambda label: label), classes)

    names = [f"{i}.png" for i in range(len(records))]
    assert {path.name for path in folder.iterdir()} == {"boxes.json", *names}
    entries = json.loads((folder / "boxes.json").read_text())
    assert [entry["image"] for entry in entries] == names
    for entry, record in zip(entries, records, strict=True):
        with Image.open(folder / entry["image"]) as ours, Image.open(record["file_name"]) as theirs:
            assert ours.mode == "RGB"
            assert ours.tobytes() == theirs.convert("RGB").tobytes()
        annotations = record["annotations"]
        assert [box["label"] for box in entry["true"]] == [classes[a["category_id"]] for a in annotations]
        assert [box["box"] for box in entry["true"]] == [[round(float(v), 2) for v in a["bbox"]] for a in annotations]
        assert [box.pop("score") for box in entry["predicted"]] == sorted(
            (round(v, 4) for v in torch.linspace(0.9, 0.8, len(annotations)).tolist()), reverse=True
        )
        for guess, truth in zip(entry["predicted"], entry["true"], strict=True):
            assert guess["label"] == truth["label"]
            assert guess["box"] == pytest.approx(truth["box"], abs=0.011)  # float32
    assert [1.23, 2.0] in [box["box"][:2] for entry in entries for box in entry["true"]]


# The stage


def outputs(profile: Tiny, log: Log = silent) -> tuple[dict[str, float] | None, dict[str, bytes]]:
    metrics = detect.run(profile.context("detect", log, row="found"))
    names = ("weights.safetensors", "history.csv", "config.yaml", "examples/0.png", "examples/boxes.json")
    return metrics, {name: profile.bytes_of("detect", "found", name) for name in names}


def test_a_run_that_is_killed_ends_as_one_that_is_not(scenes: Tiny) -> None:
    heard: dict[int, Any] = {}
    metrics, whole = outputs(scenes, lambda step, values: heard.update({step: values}))

    assert set(metrics or ()) == {"ap", "ap50", "ap75", "params", "macs"}
    rows = list(csv.DictReader(whole["history.csv"].decode().splitlines()))
    assert [row["iteration"] for row in rows] == ["20", "24"]
    assert list(rows[0]) == ["iteration", "total_loss", "loss_cls", "loss_box_reg", "lr"]
    assert {step: {key: str(v) for key, v in values.items()} for step, values in heard.items()} == {
        int(row.pop("iteration")): row for row in rows
    }
    assert float(rows[1]["lr"]) == pytest.approx(0.001)
    text = whole["config.yaml"].decode()
    assert "CHECKPOINT: out/retrain/found/weights.safetensors" in text
    assert str(scenes.root) not in text
    state = load_file(scenes.root / "out/detect/found/weights.safetensors")
    begun = load_file(scenes.root / "out/retrain/found/weights.safetensors")
    name = "backbone.bottom_up.features.model.stem0.0.weight"
    assert torch.equal(state[name], begun["stem0.0.weight"]), "frozen"
    assert not torch.equal(state[name.replace("stem0.0", "stem1.1")], begun["stem1.1.weight"]), "trained"
    assert not list((scenes.root / ".scratch").iterdir())

    with pytest.raises(Killed):
        outputs(scenes, kill_at(20))
    (folder,) = (scenes.root / ".scratch").iterdir()
    saved = torch.load(folder / "state.pt", weights_only=True)
    assert saved["trainer"]["iteration"] == 15
    again, resumed = outputs(scenes)
    assert again == metrics
    assert resumed == whole


@pytest.mark.parametrize(
    "overrides",
    [
        {"MODEL.FPN.NORM": "Nonsense"},
        {"MODEL.FPN.OUT_CHANNELS": -8},
        {"SOLVER.LR_SCHEDULER_NAME": "Nonsense"},
        {"DATALOADER.NUM_WORKERS": -1},
        {"INPUT.RANDOM_FLIP": "sideways"},
    ],
)
def test_what_cannot_be_built_is_said_before_training(scenes: Tiny, overrides: dict[str, Any]) -> None:
    scenes.change("detect", overrides={**SMALL, **overrides})
    with pytest.raises(GenasError, match=r"^detect\.overrides: nothing can be built from them \(") as error:
        detect.run(scenes.context("detect", row="found"))
    assert "\n" not in str(error.value)


def test_a_size_below_zero_is_said_before_training(scenes: Tiny) -> None:
    scenes.change("detect", overrides={**SMALL, "INPUT.MIN_SIZE_TRAIN": [48, -48]})
    with pytest.raises(GenasError, match=r"overrides: INPUT\.MIN_SIZE_TRAIN is -48, expected a number above 0$"):
        detect.run(scenes.context("detect", row="found"))


def test_a_diverging_loss_is_one_line(scenes: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    overrides = {**SMALL, "SOLVER.BASE_LR": 1e12, "SOLVER.WARMUP_ITERS": 0, "SOLVER.CLIP_GRADIENTS.ENABLED": False}
    scenes.change("detect", overrides=overrides)
    with pytest.raises(GenasError) as error:
        outputs(scenes)
    assert re.fullmatch(
        r"detect: the loss is no longer finite at iteration \d+: "
        r"lower SOLVER\.BASE_LR or set SOLVER\.CLIP_GRADIENTS\.ENABLED in detect\.overrides",
        str(error.value),
    )
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_kill_and_resume_across_processes(scenes: Tiny) -> None:
    """SIGKILL as soon as a half-done state is on disk; the next process goes on from it."""
    metrics, whole = outputs(scenes)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GENAS_DEVICE": "cpu"}
    command = [sys.executable, "-m", "genas.pipeline", "detect", "row=found"]
    first = subprocess.Popen(command, cwd=scenes.root, env=environment, text=True, stderr=subprocess.PIPE)
    deadline = time.time() + 200
    while not list(scenes.root.glob(".scratch/*/state.pt")):
        assert first.poll() is None, first.communicate()
        assert time.time() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (half,) = scenes.root.glob(".scratch/*/state.pt")
    assert torch.load(half, weights_only=True)["trainer"]["iteration"] + 1 in (8, 16)

    second = run_stage(scenes.root, "detect", "row=found")
    assert second.returncode == 0, second.stderr
    assert "Traceback" not in second.stderr
    assert json.loads(scenes.bytes_of("detect", "found", "metrics.json")) == metrics
    assert {name: scenes.bytes_of("detect", "found", name) for name in whole} == whole


@pytest.mark.slow
def test_two_processes_share_a_batch(scenes: Tiny) -> None:
    """The same number of iterations, one set of outputs; the first process alone writes and speaks."""
    done = run_stage(scenes.root, "detect", "row=found", processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("predicts no box") <= 1
    assert "Traceback" not in done.stderr
    assert "Grad strides" not in done.stderr
    metrics = json.loads(scenes.bytes_of("detect", "found", "metrics.json"))
    assert set(metrics) == {"ap", "ap50", "ap75", "params", "macs"}
    assert scenes.bytes_of("detect", "found", "history.csv").decode().splitlines()[-1].startswith("24,")
    assert not list((scenes.root / ".scratch").iterdir())


@pytest.mark.slow
def test_of_two_processes_one_tells_of_a_mistake(scenes: Tiny) -> None:
    """An image that only one of them reads: that one tells, the other, which waits for it, does not."""
    path = sorted((files(scenes) / "train2017").iterdir())[4]
    path.write_bytes(path.read_bytes()[:3000])
    done = run_stage(scenes.root, "detect", "row=found", processes=2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}: not a readable image (")
    assert done.stderr.count("\n") == 1, done.stderr


def test_val_loader_gives_every_image(scenes: Tiny) -> None:
    cfg = configured(scenes)
    names = [Path(batch[0]["file_name"]).name for batch in val_loader(cfg)]
    assert names == sorted(path.name for path in (files(scenes) / "val2017").iterdir())
    assert len(names) == len(val_loader(cfg))
