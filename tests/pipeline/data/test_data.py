"""Data sets: what is derived, what the manifest records, and what is said of a set that is missing or broken."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams, load_params
from genas.pipeline.data import copies, digits, shifts
from genas.pipeline.data import stage as data
from genas.pipeline.data.reading import layouts
from genas.pipeline.data.reading.images import (
    Images,
    Pictures,
    channel_statistics,
    decode,
    list_folder,
    load_images,
    to_tensor,
)
from genas.pipeline.data.reading.layouts import dataset_root, digest_of, require_layout
from genas.pipeline.data.reading.manifest import read_manifest
from genas.pipeline.data.stage import check, describe
from tests.conftest import Tiny

SCENES = 10


@pytest.fixture(scope="module")
def coloured() -> dict[str, Images]:
    """The digits as a data set has them, in colours."""
    return digits.painted(0)


@pytest.fixture(scope="module")
def ink() -> dict[str, Images]:
    """The digits as scenes are composed of them."""
    return digits.ink_of(0)


def derived(tiny: Tiny, name: str = "set", **spec: Any) -> Path:
    """Run the data stage for a set that the tiny profile is given, and return where it lies."""
    copied = spec["layout"] == "parquet" and spec.get("derive") != "digits"
    always = {"digest": "content", **({"seed": 0} if "derive" in spec and not copied else {})}
    tiny.change("data", **{name: {**always, **spec}})
    context = tiny.context("data", dataset=name)
    data.run(context)
    return dataset_root(context, name)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def times(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(root.rglob("*"))}


# ---- derived sets ---------------------------------------------------------------------------------------------------


def test_the_digits_are_split_once_and_for_all(coloured: dict[str, Images]) -> None:
    train, val = coloured["train"], coloured["val"]
    assert (len(train.labels), len(val.labels)) == (1437, 360)
    assert train.pixels.shape[1:] == (32, 32, 3)
    assert train.pixels.dtype == np.uint8
    assert 30 < np.bincount(val.labels).min() <= np.bincount(val.labels).max() < 40  # stratified
    again = digits.painted(0)
    assert np.array_equal(again["val"].pixels, val.pixels)
    assert not np.array_equal(digits.painted(1)["val"].labels, val.labels)


def test_digits_as_parquet(tiny: Tiny, coloured: dict[str, Images]) -> None:
    root = derived(tiny, layout="parquet", derive="digits")
    assert sorted(content(root)) == ["classes.txt", "test.parquet", "train.parquet"]
    for split in ("train", "val"):
        loaded = load_images(root, "parquet", split, None)
        assert np.array_equal(loaded.pixels, coloured[split].pixels)
        assert np.array_equal(loaded.labels, coloured[split].labels)
    recorded = read_manifest(tiny.context("retrain", row="found"), "set")
    assert recorded["splits"] == {"test": 360, "train": 1437}
    assert recorded["classes"] == [str(i) for i in range(10)]
    assert recorded["layout"] == "parquet"


def test_digits_of_half_the_size_are_the_means_of_four_pixels(tiny: Tiny, coloured: dict[str, Images]) -> None:
    root = derived(tiny, layout="parquet", derive="digits", pixels=16)
    small, large = load_images(root, "parquet", "val", 16), coloured["val"]
    means = large.pixels.reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(small.pixels - means).max() <= 1  # of 255: rounded along one side, then along the other
    assert np.array_equal(small.labels, large.labels)


def test_a_set_is_copied_at_fewer_pixels(tiny: Tiny) -> None:
    """Images that are not square are cut at their middle; the copy is another set when its origin changes."""
    folder = Path(os.environ["GENAS_DATA"]) / "wide"
    for number, (split, name) in enumerate([("train", "a"), ("train", "b"), ("val", "a"), ("val", "b")]):
        (folder / split / name).mkdir(parents=True)
        image = np.zeros((4, 12, 3), np.uint8)
        image[:, 4:8] = np.arange(16).reshape(4, 4, 1) * 10 + number
        Image.fromarray(image).save(folder / split / name / "0.png")
    tiny.change("data", wide={"layout": "folder", "digest": "content", "path": "wide", "pixels": 4})
    root = derived(tiny, layout="parquet", derive="wide", pixels=2)
    found = load_images(root, "parquet", "val", 2)
    assert found.pixels[..., 0].tolist() == [[[27, 47], [107, 127]], [[28, 48], [108, 128]]]
    assert found.labels.tolist() == [0, 1]
    assert (root / "classes.txt").read_text() == "a\nb\n"
    recorded = json.loads((root.parent / "manifest.json").read_text())
    assert recorded["splits"] == {"test": 2, "train": 2}
    Image.fromarray(np.full((4, 12, 3), 9, np.uint8)).save(folder / "val" / "b" / "0.png")
    data.run(tiny.context("data", dataset="set"))
    assert load_images(root, "parquet", "val", 2).pixels[1].tolist() == np.full((2, 2, 3), 9).tolist()
    assert json.loads((root.parent / "manifest.json").read_text())["origin"] != recorded["origin"]


def test_scenes_as_coco(tiny: Tiny) -> None:
    root = derived(tiny, layout="coco", derive="digits", images=SCENES)
    for split, count in (("train", 8), ("val", 2)):
        truth = json.loads((root / f"annotations/instances_{split}2017.json").read_text())
        assert len(truth["images"]) == count == len(list((root / f"{split}2017").iterdir()))
        assert [category["name"] for category in truth["categories"]] == [str(i) for i in range(10)]
        sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
        assert {annotation["image_id"] for annotation in truth["annotations"]} == set(sizes)
        assert len({annotation["id"] for annotation in truth["annotations"]}) == len(truth["annotations"])
        for image in truth["images"]:
            with Image.open(root / f"{split}2017" / image["file_name"]) as picture:
                assert picture.size == sizes[image["id"]]
        for annotation in truth["annotations"]:
            x, y, width, height = annotation["bbox"]
            assert min(x, y) >= 0
            assert min(width, height) > 5
            assert (x + width, y + height) <= sizes[annotation["image_id"]]
            assert 0 < annotation["area"] <= width * height
            assert 1 <= annotation["category_id"] <= 10
            assert annotation["iscrowd"] == 0
    assert read_manifest(tiny.context("retrain", row="found"), "set")["splits"] == {"train": 8, "val": 2}


def test_a_box_is_the_smallest_around_its_mask(ink: dict[str, Images]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        picture, things = digits.compose(ink["val"], rng)
        assert picture.shape == (128, 128, 3)
        assert 1 <= len(things) <= 4
        for label, mask, (x, y, width, height) in things:
            assert 0 <= label <= 9
            inside = mask[y : y + height, x : x + width]
            assert inside.sum() == mask.sum()
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
        assert sum(mask.astype(int) for _, mask, _ in things).max() == 1  # digits stand apart


def test_scenes_as_cityscapes(tiny: Tiny) -> None:
    root = derived(tiny, layout="cityscapes", derive="digits", images=SCENES)
    classes = json.loads((root / "classes.json").read_text())
    assert classes == ["background", *map(str, range(10))]
    labels: set[int] = set()
    for split, count in (("train", 8), ("val", 2)):
        pictures = sorted((root / "leftImg8bit" / split).rglob("*_leftImg8bit.png"))
        assert len(pictures) == count
        for picture in pictures:
            name = picture.name.replace("_leftImg8bit", "_gtFine_labelTrainIds")
            with Image.open(root / "gtFine" / split / "digits" / name) as truth, Image.open(picture) as image:
                assert truth.size == image.size == (128, 128)
                labels |= set(np.unique(np.asarray(truth)).tolist())
    assert 0 in labels
    assert labels <= set(range(11))


@pytest.mark.parametrize("layout", ["coco", "cityscapes"])
def test_scenes_of_a_split_show_digits_of_that_split(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, ink: dict[str, Images], layout: str
) -> None:
    shown: list[Images] = []
    compose = digits.compose
    monkeypatch.setattr(digits, "compose", lambda given, rng: (shown.append(given), compose(given, rng))[1])
    derived(tiny, layout=layout, derive="digits", images=SCENES)
    assert len(shown) == SCENES
    assert all(np.array_equal(given.pixels, ink["train"].pixels) for given in shown[:8])
    assert all(np.array_equal(given.pixels, ink["val"].pixels) for given in shown[8:])


def test_no_digit_is_in_both_splits(ink: dict[str, Images], coloured: dict[str, Images]) -> None:
    """By construction: the split is one of indices (a few scans of the original data are equal pixel by pixel)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    labels = load_digits().target
    train, held = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    assert not set(train) & set(held)
    for parts in (ink, coloured):
        assert np.array_equal(parts["train"].labels, labels[np.sort(train)])
        assert np.array_equal(parts["val"].labels, labels[np.sort(held)])


def test_a_painted_digit_is_its_ink_on_a_ground(ink: dict[str, Images], coloured: dict[str, Images]) -> None:
    for painted, grey in zip(coloured["val"].pixels[:50], ink["val"].pixels[:50], strict=True):
        bright, dark = painted[grey > 200].mean(0), painted[grey < 20].mean(0)
        assert (bright > dark + 40).all()
    assert len({tuple(picture[0, 0]) for picture in coloured["val"].pixels}) > 100  # colours of their own


def test_shifted_sets_are_made_from_held_out_images(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Pictures] = []
    write_shift = shifts.write_shift

    def watched(root: Path, spec: DataParams, source: Pictures, classes: list[str]) -> None:
        seen.append(source)
        write_shift(root, spec, source, classes)

    monkeypatch.setattr(shifts, "write_shift", watched)
    root = derived(tiny, layout="shift", derive="small")
    held_out = load_images(Path(os.environ["GENAS_DATA"]) / "small", "parquet", "val", None)
    assert isinstance(seen[0].source, Images)
    assert np.array_equal(seen[0].source.pixels, held_out.pixels)
    assert sorted(path.name for path in root.iterdir()) == ["imagenet-a", "imagenet-o", "imagenetv2-matched-frequency"]
    for name in ("imagenet-a", "imagenetv2-matched-frequency"):
        listed = list_folder(root / name, ["zero", "one", "two"])
        assert len(listed) == 30
        assert [held_out.labels[int(path.stem)] for path, _ in listed] == [label for _, label in listed]
    assert [path.name for path in (root / "imagenet-o").iterdir()] == ["unknown"]
    recorded = read_manifest(tiny.context("retrain", row="found"), "set")
    assert recorded["splits"] == {"imagenetv2-matched-frequency": 30, "imagenet-a": 30, "imagenet-o": 30}


def test_shuffled_tiles_keep_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    out = np.asarray(shifts.shuffle_tiles(Image.fromarray(pixels), np.random.default_rng(1)))
    assert out.shape == pixels.shape
    assert not np.array_equal(out, pixels)
    assert np.array_equal(np.sort(out.reshape(-1, 3), 0), np.sort(pixels.reshape(-1, 3), 0))


def test_the_hard_change_is_harder_than_the_mild_one(coloured: dict[str, Images]) -> None:
    distances = {}
    for name, how in (("mild", shifts.MILD), ("hard", shifts.HARD)):
        rng = np.random.default_rng(0)
        changed = [np.asarray(shifts.corrupt(Image.fromarray(p), rng, how), float) for p in coloured["val"].pixels[:40]]
        assert all(image.shape == (32, 32, 3) for image in changed)
        distances[name] = np.mean([np.abs(a - b).mean() for a, b in zip(changed, coloured["val"].pixels, strict=False)])
    assert 0 < distances["mild"] < distances["hard"]


@pytest.mark.parametrize(
    "spec",
    [
        {"layout": "parquet", "derive": "digits"},
        {"layout": "coco", "derive": "digits", "images": SCENES},
        {"layout": "cityscapes", "derive": "digits", "images": SCENES},
        {"layout": "shift", "derive": "small"},
    ],
    ids=lambda spec: spec["layout"],
)
def test_derived_sets_are_written_once_and_repaired_when_touched(tiny: Tiny, spec: dict[str, Any]) -> None:
    root = derived(tiny, **spec)
    first, before = content(root), times(root)
    recorded = (root.parent / "manifest.json").read_text()

    data.run(tiny.context("data", dataset="set"))  # nothing to do
    assert times(root) == before
    assert (root.parent / "manifest.json").read_text() == recorded

    victim = next(path for path in sorted(root.rglob("*")) if path.is_file())
    victim.write_bytes(b"damaged")
    (root / "stray.txt").write_text("not of this set")
    data.run(tiny.context("data", dataset="set"))
    assert content(root) == first  # and so is a set made anew: the same bytes
    assert (root.parent / "manifest.json").read_text() == recorded

    if spec["layout"] == "shift":
        return
    derived(tiny, **spec, seed=1)
    assert content(root) != first
    assert json.loads((root.parent / "manifest.json").read_text())["digest"] != json.loads(recorded)["digest"]


def test_a_write_that_was_cut_off_is_made_good(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(root: Path, *_: object) -> None:
        (root / "train.parquet").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(copies, "write_tables", cut_off)
        with pytest.raises(KeyboardInterrupt):
            derived(tiny, layout="parquet", derive="digits")
    root = derived(tiny, layout="parquet", derive="digits")
    assert sorted(content(root)) == ["classes.txt", "test.parquet", "train.parquet"]
    assert sorted(path.name for path in root.parent.iterdir()) == ["files", "manifest.json"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"layout": "folder", "derive": "digits"},
            "data.set: layout folder cannot be derived from digits",
        ),
        (
            {"layout": "coco", "derive": "small", "images": 4},
            "data.set: layout coco cannot be derived from small",
        ),
        (
            {"layout": "shift", "derive": "lost"},
            "data.set.derive: unknown data set 'lost'",
        ),
    ],
)
def test_what_cannot_be_derived_is_said_so(tiny: Tiny, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(GenasError, match=message):
        derived(tiny, **spec)


# ---- the manifest ---------------------------------------------------------------------------------------------------


def test_the_digest_covers_bytes_and_names_and_not_times(tmp_path: Path, small_data: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small_data / "small", root)
    first = digest_of(root, "content")
    assert first == digest_of(small_data / "small", "content")
    path = root / "train.parquet"
    os.utime(path, (1, 1))
    (root / ".hidden").write_text("an editor's")
    assert digest_of(root, "content") == first
    (root / ".hidden").unlink()

    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    assert digest_of(root, "content") != first
    assert digest_of(root, "listing") == digest_of(small_data / "small", "listing")  # the size is the same
    path.write_bytes(changed + b"x")
    assert digest_of(root, "listing") != digest_of(small_data / "small", "listing")
    path.rename(root / "training.parquet")
    assert digest_of(root, "content") != first


def test_one_byte_of_one_image_changes_the_manifest(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENAS_DATA", str(tmp_path))
    shown = tmp_path / "photos"
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (shown / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), "red").save(shown / split / name / "a.png")
    derived(tiny, "photos", layout="folder", path="photos")
    context = tiny.context("retrain", row="found")
    first = read_manifest(context, "photos")
    assert first["splits"] == {"train": 2, "val": 2}
    assert first["classes"] == ["ant", "bee"]

    path = shown / "val" / "bee" / "a.png"
    os.utime(path, (1, 1))
    data.run(tiny.context("data", dataset="photos"))
    assert read_manifest(context, "photos") == first
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    data.run(tiny.context("data", dataset="photos"))
    assert read_manifest(context, "photos")["digest"] != first["digest"]


def test_a_set_derived_from_a_changed_set_is_made_anew(
    tiny: Tiny, tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "root"
    shutil.copytree(small_data, copy)
    monkeypatch.setenv("GENAS_DATA", str(copy))
    root = derived(tiny, layout="shift", derive="small")
    before = content(root)
    shutil.copy(copy / "small" / "train.parquet", copy / "small" / "test.parquet")
    data.run(tiny.context("data", dataset="set"))
    assert len(content(root)) == 2 * len(before)


def test_a_missing_set_is_said_so_with_place_layout_and_source(tiny: Tiny) -> None:
    source = "image-net.org"
    tiny.change("data", photos={"layout": "folder", "digest": "content", "path": "photos", "source": source})
    with pytest.raises(GenasError) as caught:
        data.run(tiny.context("data", dataset="photos"))
    message = str(caught.value)
    for part in ("data set photos", str(Path(os.environ["GENAS_DATA"]) / "photos" / "train"), "layout folder"):
        assert part in message
    assert message.endswith(f"it comes from {source}")
    assert "GENAS_DATA" in message
    assert "\n" not in message
    assert not (tiny.root / "out/data/photos/manifest.json").exists()


@pytest.mark.parametrize("layout", layouts.REQUIRED)
def test_every_layout_misses_its_own_parts(tmp_path: Path, layout: str) -> None:
    spec = DataParams(layout=layout, digest="content", path="x")
    for part in layouts.REQUIRED[layout]:
        first = part.split("|")[0]
        with pytest.raises(GenasError, match=f"data set mine: .*{first} is missing"):
            require_layout("mine", spec, tmp_path)
        (tmp_path / part.split("|")[-1]).mkdir(parents=True)
    require_layout("mine", spec, tmp_path)


def test_an_empty_set_is_no_set(tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / name / "ant").mkdir(parents=True)
    with pytest.raises(GenasError, match="data set mine: no images in train, val below"):
        describe("mine", DataParams(layout="folder", digest="content", path="x"), tmp_path)


def test_a_stage_without_its_manifest_names_the_stage_to_run(tiny: Tiny) -> None:
    with pytest.raises(GenasError, match=r"manifest\.json: no manifest; run the stage data@small_shift first"):
        read_manifest(tiny.context("shift", row="found"), "small_shift")


def test_check_tells_which_sets_are_there(tiny: Tiny) -> None:
    tiny.change("data", lost={"layout": "folder", "digest": "content", "path": "lost"})
    found = {name: (there, text) for name, there, text in check(tiny.root)}
    assert found["small"] == (True, str(Path(os.environ["GENAS_DATA"]) / "small"))
    assert found["small_shift"] == (True, "derived from small")
    assert not found["lost"][0]
    assert "lost/train is missing" in found["lost"][1]
    assert list(found) == list(load_params(tiny.root).data)


def test_an_unreadable_table_is_named(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_DATA", str(tmp_path))
    (tmp_path / "small").mkdir()
    for name in ("train", "test"):
        (tmp_path / "small" / f"{name}.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(GenasError, match=r"test\.parquet: not a readable parquet file"):
        data.run(tiny.context("data", dataset="small"))
    with pytest.raises(GenasError, match=r"train\.parquet: not a parquet file"):
        load_images(tmp_path / "small", "parquet", "train", None)


def test_cifar_that_is_not_what_was_published_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "train").write_bytes(b"something else")
    with pytest.raises(GenasError, match=r"corrupted.*GENAS_DOWNLOAD=1 allows the download") as caught:
        load_images(tmp_path, "cifar100", "train", None)
    assert "\n" not in str(caught.value)


# ---- images ---------------------------------------------------------------------------------------------------------


def test_grey_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    for mode, value in (("L", 7), ("RGBA", (1, 2, 3, 255)), ("P", 0), ("1", 1)):
        Image.new(mode, (3, 2), value).save(tmp_path / "a.png")
        assert decode(tmp_path / "a.png", "a").mode == "RGB"


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"GIF89a" + b])
def test_a_broken_image_is_named(tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    for source in (path, path.read_bytes()):
        with pytest.raises(GenasError, match=r"photo\.jpg: not a readable image") as caught:
            decode(source, str(path))
        assert "\n" not in str(caught.value)


def test_folder_images_are_shrunk_to_squares(tmp_path: Path) -> None:
    for name, size in (("ant", (40, 20)), ("bee", (9, 30))):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", size, "red").save(tmp_path / "train" / name / "a.jpeg")
    (tmp_path / "train" / "ant" / "notes.txt").write_text("no image")
    loaded = load_images(tmp_path, "folder", "train", 8)
    assert loaded.pixels.shape == (2, 8, 8, 3)
    assert loaded.labels.tolist() == [0, 1]


def test_labels_of_folders_are_their_places_in_the_class_list(tmp_path: Path) -> None:
    for name in ("ant/a.png", "ant/b/c.JPEG", "ant/b-1.webp", "bee/a.jpg", "bee/a.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [(str(path.relative_to(tmp_path)), label) for path, label in list_folder(tmp_path, ["bee", "cow", "ant"])]
    assert found == [("ant/a.png", 2), ("ant/b/c.JPEG", 2), ("ant/b-1.webp", 2), ("bee/a.jpg", 0)]
    with pytest.raises(
        GenasError, match=r"/ant: folder is none of the 1 classes \(cow, \.\.\.\), nor are 1 others of 2$"
    ):
        list_folder(tmp_path, ["cow"])


def test_channel_statistics_by_hand() -> None:
    pixels = np.zeros((2, 1, 2, 3), np.uint8)
    pixels[1, ..., 0] = 255
    pixels[..., 1] = 51
    mean, std = channel_statistics(Pictures(Images(pixels, np.zeros(2, np.int64))))
    assert mean == (0.5, 0.2, 0.0)
    assert std[0] == 0.5
    assert 0 < std[1] < 1e-3  # never a division by zero
    tensor = to_tensor(pixels, mean, (0.5, 1.0, 1.0))
    assert tensor[:, 0].flatten().tolist() == [-1, -1, 1, 1]
    assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_a_range_of_rows_is_what_all_of_them_hold_there(tiny: Tiny, small_data: Path) -> None:
    every = load_images(small_data / "small", "parquet", "train", None)
    part = load_images(small_data / "small", "parquet", "train", None, np.arange(7, 19))
    assert np.array_equal(part.pixels, every.pixels[7:19])
    assert np.array_equal(part.labels, every.labels[7:19])
