"""WebDataset shards: the same images as a folder has, in any order, and what is said of a broken shard."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from genas.models.errors import GenasError
from genas.pipeline import zoo
from genas.pipeline.data import stage as data
from genas.pipeline.data.reading import shards
from genas.pipeline.data.reading.halves import load_search_data
from genas.pipeline.data.reading.images import Pictures, list_folder, load_images, pictures
from genas.pipeline.data.reading.inputs.seeded import Seeded
from genas.pipeline.data.reading.layouts import index_of
from genas.pipeline.data.reading.manifest import read_manifest
from genas.pipeline.data.stage import check
from genas.pipeline.retrain import stage as retrain
from tests.conftest import Tiny

Member = tuple[str, bytes]


def picture(i: int) -> bytes:
    """A picture of its own for every number."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(i).integers(0, 255, (12, 10, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, ("png", "jpeg", "webp")[i % 3])
    return buffer.getvalue()


def sample(i: int, label: int) -> list[Member]:
    """The two members of a picture, its class in one of the three ways."""
    written = [("cls", str(label)), ("txt", f"{label}\n"), ("json", json.dumps({"label": label, "of": "a set"}))]
    kind, text = written[i % 3]
    return [(f"{i:06d}.{('png', 'JPEG', 'webp')[i % 3]}", picture(i)), (f"{i:06d}.{kind}", text.encode())]


def write_shard(path: Path, members: Sequence[Member]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three shards of ten training pictures and one of six, of the classes ant, bee and cow in turn."""
    root = tmp_path / "data" / "photos"
    for k in range(3):
        write_shard(root / f"train/part-{k}.tar", [m for i in range(10 * k, 10 * k + 10) for m in sample(i, i % 3)])
    write_shard(root / "val/part-0.tar", [m for i in range(100, 106) for m in sample(i, i % 3)])
    (root / "classes.txt").write_text("ant\nbee\ncow\n")
    return root


def as_folder(root: Path) -> Path:
    """The same pictures as class folders."""
    for split, numbers in (("train", range(30)), ("val", range(100, 106))):
        for i in numbers:
            path = root / split / ("ant", "bee", "cow")[i % 3] / f"{i:06d}.{('png', 'jpeg', 'webp')[i % 3]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(i))
    return root


def same(found: Pictures, expected: Pictures) -> bool:
    """Whether two sets have the same pictures and labels by name."""

    def by_name(one: Pictures) -> dict[str, tuple[bytes, int]]:
        return {one.name(i): (one.picture(i).tobytes(), one.label(i)) for i in range(len(one))}

    return len(found) == len(expected) and by_name(found) == by_name(expected)


def test_shards_hold_what_a_folder_holds(root: Path, tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "folder")
    for split in ("train", "val"):
        assert same(pictures(root, "webdataset", split), Pictures(list_folder(folder / split)))
    found = pictures(root, "webdataset", "train")
    assert [found.label(i) for i in range(30)] == [i % 3 for i in range(30)]
    assert [found.name(i) for i in (0, 29)] == ["000000", "000029"]
    small = load_images(root, "webdataset", "train", 8, np.arange(4, 7))
    assert small.pixels.shape == (3, 8, 8, 3)
    assert small.labels.tolist() == [1, 2, 0]


def test_the_data_stage_records_the_members_once(root: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_DATA", str(root.parent))
    tiny.change("data", photos={"layout": "webdataset", "digest": "content", "path": "photos"})
    context = tiny.context("data", dataset="photos")
    data.run(context)
    manifest, index = read_manifest(context, "photos"), index_of(context, "photos")
    assert manifest["splits"] == {"train": 30, "val": 6}
    assert manifest["classes"] == ["ant", "bee", "cow"]
    assert ("photos", True, str(root)) in check(tiny.root)
    content = index.read_bytes()
    assert str(root).encode() not in content, "a data set on another machine is the same data set"

    def never(shard: Path) -> list[shards.Sample]:
        raise AssertionError(f"{shard} is read again")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "samples_of", never)
        data.run(context)
        recorded = pictures(root, "webdataset", "train", ["ant", "bee", "cow"], index)
    assert same(recorded, pictures(root, "webdataset", "train"))

    write_shard(root / "train/part-3.tar", sample(30, 0))
    with pytest.raises(
        GenasError, match=r"not the shards that .*index\.parquet has recorded; run the stage data@photos"
    ):
        pictures(root, "webdataset", "train", index=index)
    data.run(context)
    assert read_manifest(context, "photos")["splits"] == {"train": 31, "val": 6}
    assert len(pictures(root, "webdataset", "train", index=index)) == 31


def test_without_names_classes_are_numbers(root: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_DATA", str(root.parent))
    (root / "classes.txt").unlink()
    tiny.change("data", photos={"layout": "webdataset", "digest": "content", "path": "photos"})
    context = tiny.context("data", dataset="photos")
    data.run(context)
    assert read_manifest(context, "photos")["classes"] == ["0", "1", "2"]
    write_shard(root / "val/part-1.tar", sample(200, 3))
    with pytest.raises(GenasError, match=r"val/part-1\.tar: 000200\.webp: class 3, but there are 3 classes"):
        data.run(context)


def test_networks_are_searched_and_retrained_on_shards(root: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_DATA", str(root.parent))
    tiny.change("data", photos={"layout": "webdataset", "digest": "content", "path": "photos"})
    data.run(tiny.context("data", dataset="photos"))
    context = tiny.context("supernet", dataset="photos", seed="0")
    searched = load_search_data(context, context.params.supernet["small"])
    assert (len(searched.train_labels), len(searched.held_labels), searched.num_classes) == (15, 15, 3)

    tiny.change("rows", published__dataset="photos")
    tiny.change("matrix", shift={"row": ["found"]})
    tiny.change("recipes", short__epochs=1, short__warmup_epochs=0)
    zoo.run(tiny.context("zoo", row="darts_v2_c10"))
    context = tiny.context("retrain", row="published")
    metrics = retrain.run(context)
    assert metrics["top5"] == 100
    train = retrain.prepare(context)[0]
    batches = [
        [images.tolist() for images, _ in DataLoader(Seeded(train, 0, 0), 7, num_workers=workers)] for workers in (0, 2)
    ]
    assert batches[0] == batches[1], "whatever the number of workers"


def test_folders_in_names_and_what_else_a_shard_holds(tmp_path: Path) -> None:
    members = [
        ("readme", b"no ending"),
        ("a/1.txt", b"a caption"),
        ("a/1.cls", b"2"),
        ("a/1.jpg", picture(1)),
        ("b/1.json", b'{"label": "0"}'),
        ("b/1.txt", b"another caption"),
        ("b/1.png", picture(2)),
        ("b/1.seg.png", b"of no matter"),
        ("c/1.txt", b"a text alone"),
        (f"{'long' * 40}/2.jpg", picture(3)),
        (f"{'long' * 40}/2.cls", b"1"),
    ]
    found = shards.samples_of(write_shard(tmp_path / "a.tar", members))
    assert [(one.member.rpartition("/")[2], one.label) for one in found] == [("1.jpg", 2), ("1.png", 0), ("2.jpg", 1)]
    whole = (tmp_path / "a.tar").read_bytes()
    assert [whole[one.offset : one.offset + one.size] for one in found] == [picture(1), picture(2), picture(3)]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.jpg", b"")], r"1\.jpg: no class beside it \(\.cls, \.json, \.txt\)$"),
        ([("1.cls", b"1")], r"1\.cls: no image beside it$"),
        ([("1.jpg", b""), ("1.cls", b"cat")], r"1\.cls: b'cat' is no class number$"),
        ([("1.jpg", b""), ("1.cls", b"-1")], r"1\.cls: b'-1' is no class number$"),
        ([("1.jpg", b""), ("1.json", b'{"label": 1.5}')], r"1\.json: .* is no class number$"),
        ([("1.jpg", b""), ("1.json", b"[1]")], r"1\.json: .* is no class number$"),
        ([("1.jpg", b""), ("1.json", b"{")], r"1\.json: .* is no class number$"),
        ([("1.jpg", b""), ("1.txt", b"\xff")], r"1\.txt: .* is no class number$"),
        ([("1.jpg", b""), ("1.cls", b"1"), ("1.png", b"")], r"1\.png: a second image of the sample 1$"),
    ],
)
def test_a_sample_that_is_not_whole_is_named(tmp_path: Path, members: list[Member], message: str) -> None:
    path = write_shard(tmp_path / "a.tar", [*sample(0, 0), *members])
    with pytest.raises(GenasError, match=message) as caught:
        shards.samples_of(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(lambda last: last.offset_data + 1, id="in an image"),
        pytest.param(lambda last: last.offset_data - 100, id="in a header"),
        pytest.param(lambda last: last.offset, id="between two members"),
        pytest.param(lambda last: 100, id="in the first header"),
        pytest.param(lambda last: 0, id="empty"),
    ],
)
def test_a_truncated_shard_is_named(tmp_path: Path, cut: Callable[[tarfile.TarInfo], int]) -> None:
    path = write_shard(tmp_path / "a.tar", [m for i in range(5) for m in sample(i, 0)])
    with tarfile.open(path) as tar:
        member = tar.getmember("000004.JPEG")
    whole = path.read_bytes()
    path.write_bytes(whole[: cut(member)])
    with pytest.raises(GenasError, match=r"a\.tar: not a whole tar file after ") as caught:
        shards.samples_of(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"\x1f\x8b" + whole)
    with pytest.raises(GenasError, match=r"a\.tar: not a whole tar file after its beginning"):
        shards.samples_of(path)


def test_a_header_that_is_damaged_is_not_the_end(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", [m for i in range(5) for m in sample(i, 0)])
    with tarfile.open(path) as tar:
        start = tar.getmember("000002.webp").offset
    content = bytearray(path.read_bytes())
    content[start : start + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(GenasError, match=r"a\.tar: not a whole tar file after 000001\.txt"):
        shards.samples_of(path)


def test_a_broken_image_is_named_with_its_shard(root: Path) -> None:
    path = write_shard(root / "val/part-1.tar", [("x.jpg", picture(1)[:50]), ("x.cls", b"1")])
    with pytest.raises(GenasError, match=r"part-1\.tar: x\.jpg: not a readable image"):
        pictures(root, "webdataset", "val").picture(6)
    found = pictures(root, "webdataset", "val")
    os.truncate(path, 700)  # after the headers were read
    with pytest.raises(GenasError, match=r"part-1\.tar: x\.jpg: not a readable image"):
        found.picture(6)


def test_classes_beyond_the_list_are_named(root: Path) -> None:
    with pytest.raises(GenasError, match=r"train/part-0\.tar: 000002\.webp: class 2, but there are 2 classes"):
        pictures(root, "webdataset", "train", ["ant", "bee"])


def test_a_split_without_shards_is_empty(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert len(pictures(tmp_path, "webdataset", "train")) == 0
