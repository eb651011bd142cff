"""Every defect of a data set is one line that names the file and what is expected, from the data stage if possible."""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams
from genas.pipeline.data.reading import layouts, shards
from genas.pipeline.data.reading.decoding import decode
from genas.pipeline.data.reading.images import list_folder, load_images, pictures
from genas.pipeline.data.reading.layouts import digest_of
from genas.pipeline.data.reading.manifest import former_manifest, read_manifest
from genas.pipeline.data.reading.scenes import check_scenes, find_scenes
from genas.pipeline.data.stage import describe
from tests.conftest import Tiny
from tests.pipeline.data.good import GOOD, Spoil, picture, save, sixteen_bits, write_shard, write_table


def line_of(call: Callable[[], object]) -> str:
    """The message of the error that a call ends with: a single line."""
    with pytest.raises(GenasError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    message.encode()  # can be printed
    return message


def scan(root: Path, layout: str, digest: str = "content") -> dict[str, Any]:
    """What the data stage records."""
    return describe("mine", DataParams(layout=layout, digest=digest, path="x"), root)


def damaged(root: Path, layout: str, spoil: Spoil) -> Path:
    """A good data set, spoilt."""
    GOOD[layout](root)
    spoil(root)
    return root


def table(split: str = "train", **columns: Any) -> Spoil:
    return lambda root: write_table(root / f"{split}.parquet", **columns)


def text(name: str, content: str | bytes) -> Spoil:
    return lambda root: save(root / name, content.encode() if isinstance(content, str) else content)


def link(name: str, target: str) -> Spoil:
    return lambda root: os.symlink(target, root / name)


def gone(name: str) -> Spoil:
    return lambda root: (root / name).unlink()


def empty_folder(name: str) -> Spoil:
    return lambda root: (root / name).mkdir(parents=True)


def both(*spoils: Spoil) -> Spoil:
    return lambda root: [spoil(root) for spoil in spoils]


def shard(*members: tuple[str, Any]) -> Spoil:
    return lambda root: write_shard(root / "train/a.tar", [("0.png", picture()), ("0.cls", b"0"), *members])


def rewrite(change: Callable[[dict[str, Any]], object], split: str = "val") -> Spoil:
    def spoil(root: Path) -> None:
        path = root / f"annotations/instances_{split}2017.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


def record(kind: str, **values: Any) -> Spoil:
    """The second record of a kind changed; a field that is given None is taken out."""

    def change(content: dict[str, Any]) -> None:
        content[kind][1] = {key: v for key, v in (content[kind][1] | values).items() if v is not None}

    return rewrite(change)


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG of any size: its header says so, nothing follows."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">II", zlib.crc32(header), 9) + b"IDAT"


HUGE = "9" * 30

PARQUET: list[tuple[Spoil, str]] = [
    (table(label=[0, 2]), r"train\.parquet row 1: label 2, expected 0 to 1$"),
    (table("test", label=[7, 0]), r"test\.parquet row 0: label 7, expected 0 to 1$"),
    (table(label=[0, -100]), r"train\.parquet row 1: label -100, expected 0 to 1$"),
    (table(label=[0.5, 1]), r"train\.parquet row 0: label 0\.5, expected"),
    (table(label=[float("nan"), 1]), r"train\.parquet row 0: label nan, expected"),
    (table(label=[float("inf"), 1]), r"train\.parquet row 0: label inf, expected"),
    (table(label=pyarrow.array([1, 2**63], pyarrow.uint64())), r"row 1: label 9223372036854775808, expected 0 to 1$"),
    (table(label=[0, None]), r"train\.parquet row 1: label is null$"),
    (table(label=[None, None]), r"train\.parquet row 0: label is null$"),
    (table(label=["0", "1"]), r"train\.parquet: column label is of type string, expected class numbers$"),
    (table(label=[[0], [1]]), r"column label is of type list<.*>, expected class numbers$"),
    (table(label=None), r"train\.parquet: not a parquet file with image and label \("),
    (table(image=None), r"train\.parquet: not a parquet file with image and label \("),
    (table(image=[picture(), None]), r"train\.parquet row 1: image is null$"),
    (table(image=["a.png", "b.png"]), r"train\.parquet: column image is of type string, expected bytes$"),
    (table(image=[{"bytes": b"", "path": "a"}] * 2), r"column image is of type struct<.*, expected bytes$"),
    (table(image=[[1, 2], [3, 4]]), r"column image is of type list<.*, expected bytes$"),
    (table(image=[picture(), b""]), r"train\.parquet row 1: an image of no bytes$"),
    (table(image=pyarrow.array([], pyarrow.binary()), label=pyarrow.array([], pyarrow.int64())), "no images in train"),
    (text("train.parquet", b"PAR1"), r"train\.parquet: not a readable parquet file \("),
    (both(gone("train.parquet"), empty_folder("train.parquet")), r"train\.parquet: not a readable parquet file \("),
    (both(gone("classes.txt"), table(label=[0, 0])), r"test\.parquet row 1: label 1, expected 0 to 0$"),
    (text("classes.txt", "ant\n"), r"train\.parquet row 1: label 1, expected 0 to 0$"),
    (text("classes.txt", "ant bee\n"), r"row 1: label 1, expected 0 to 0$"),
    (text("classes.txt", "ant\nant\n"), r"classes\.txt: the name ant is given 2 times$"),
    (text("classes.txt", "ant\n\nbee\n"), r"classes\.txt: class 1 has no name$"),
    (text("classes.txt", " \n"), r"classes\.txt: no class names$"),
    (text("classes.txt", ""), r"classes\.txt: no class names$"),
    (text("classes.txt", b"ant\nb\xe9e\n"), r"classes\.txt: not a list of class names, byte 5 is not UTF-8$"),
    (both(gone("classes.txt"), empty_folder("classes.txt")), r"classes\.txt: not a list of class names \("),
    (both(gone("classes.txt"), text("classes.json", "{")), r"classes\.json: not a list of class names \(no JSON"),
    (both(gone("classes.txt"), text("classes.json", '{"a": 1}')), r"classes\.json: a dict, expected a list"),
    (both(gone("classes.txt"), text("classes.json", '["a", 3]')), r"classes\.json: class 1 is 3, expected a name$"),
    (both(gone("classes.txt"), text("classes.json", '["a", "a"]')), "the name a is given 2 times$"),
    (
        both(gone("classes.txt"), text("classes.json", '[{"name": "a", "label": 1}]')),
        r"classes\.json: class 0 has label 1, expected its place, 0$",
    ),
    (both(gone("classes.txt"), text("classes.json", "[" * 100_000)), r"classes\.json: not a list of class names"),
]

FOLDER: list[tuple[Spoil, str]] = [
    (text("train/cow/a.png", picture()), r"/val: no class folder cow, which .*/train has$"),
    (text("val/cow/a.png", picture()), r"/train: no class folder cow, which .*/val has$"),
    (both(text("val/cow/a.png", picture()), text("val/dog/a.png", picture())), r"cow, .* has, nor has it 1 others$"),
    (both(empty_folder("train/cow"), empty_folder("val/cow")), r"train/cow: no images of this class, expected \.jpg"),
    (both(text("train/cow/a.bmp", b"BM"), empty_folder("val/cow")), r"train/cow: no images of this class"),
    (empty_folder("train/.ipynb_checkpoints"), r"/val: no class folder \.ipynb_checkpoints"),
    (text("train/a.png", picture()), r"train/a\.png: a picture in no class folder$"),
    (text("train/ant/b.png/c.png", picture()), r"train/ant/b\.png: a folder, expected a picture$"),
    (text("train/ant/b.png", b""), r"train/ant/b\.png: not a readable image \("),
    (text("train/ant/b.png", b"no picture"), r"train/ant/b\.png: not a readable image \("),
    (text("train/ant/b.png", png(100_000, 100_000)), r"train/ant/b\.png: not a readable image \(.*decompression bomb"),
    (text("train/ant/b.png", png(10_000, 10_000)), r"train/ant/b\.png: not a readable image \(.*decompression bomb"),
    (text("train/ant/b.png", png(0, 5)), r"train/ant/b\.png: not a readable image \("),
    (text("train/ant/b.png", picture("F", kind="tiff")), r"b\.png: values are floating-point numbers, expected 8 or"),
    (text("train/ant/b.png", picture("I", kind="tiff")), r"b\.png: values are 32-bit integers, expected 8 or 16"),
    (link("train/ant/b.png", "b.png"), r"train/ant/b\.png: not readable \("),
    (link("train/ant/b.png", "nowhere.png"), r"train/ant/b\.png: a link that leads nowhere \(nowhere\.png\)$"),
    (link("train/cow", "/nowhere/cow"), r"train/cow: a link that leads nowhere \(/nowhere/cow\)$"),
    (link("train/ant/up", ".."), r"train/ant/up: a link in a circle, it leads back to .*/train$"),
    (link("train/ant/here", "."), r"train/ant/here: a link in a circle"),
    (link("train/ant/root", "/"), r"train/ant/root: a link in a circle, it leads back to /$"),
    (both(link("train/ant/x", "../bee"), link("train/bee/y", "../ant")), r"/[xy]: a link in a circle"),
    (
        lambda root: save(root / "train/ant" / os.fsdecode(b"b\xe9.png"), picture()),
        r"ant: the name b\\udce9\.png is not",
    ),
    (lambda root: save(root / "train" / os.fsdecode(b"\xff") / "a.png", picture()), r"train: the name \\udcff is not"),
    (text("train/ant/b\n.png", picture()), r"train/ant: the name 'b\\n\.png' has control characters$"),
    (lambda root: (root / "train").rename(root / "training"), r"data set mine: .*/train is missing; layout folder"),
]

SHARDS: list[tuple[Spoil, str]] = [
    (shard(("1.png", picture()), ("1.cls", HUGE.encode())), r"a\.tar: 1\.cls: b'9+' is no class number$"),
    (shard(("1.png", picture()), ("1.json", f'{{"label": {HUGE}}}'.encode())), r"1\.json: .* is no class number$"),
    (shard(("1.png", picture()), ("1.json", b"[0]")), r"1\.json: b'\[0\]' is no class number$"),
    (shard(("1.png", picture()), ("1.json", b'{"label": [0]}')), r"1\.json: .* is no class number$"),
    (shard(("1.png", picture()), ("1.json", b'{"label": true}')), r"1\.json: .* is no class number$"),
    (shard(("1.png", picture()), ("1.json", b"[" * 100_000)), r"1\.json: .* is no class number$"),
    (shard(("1.png", picture()), ("1.cls", b"1_0")), r"1\.cls: b'1_0' is no class number$"),
    (shard(("1.png", picture()), ("1.cls", b"")), r"1\.cls: b'' is no class number$"),
    (shard(("1.png", picture()), ("1.cls", b"2")), r"train/a\.tar: 1\.png: class 2, but there are 2 classes$"),
    (shard(("1.png", picture()), ("1.jpg", b""), ("1.cls", b"0")), r"1\.jpg: a second image of the sample 1$"),
    (shard(("1.png", picture()), ("1.cls", b"0"), ("1.cls", b"1")), r"1\.cls: a second class of the sample 1$"),
    (
        shard(("1.png", "0.png"), ("1.cls", b"0")),
        r"a\.tar: 1\.png: a link, a folder or a sparse file, expected a file$",
    ),
    (shard(("1.png", picture()), ("1.cls", "0.cls")), r"a\.tar: 1\.cls: a link, a folder or a sparse file"),
    (shard(("../1.png", picture()), ("../1.cls", b"0")), r"a\.tar: \.\./1\.png: the name leads out of the shard$"),
    (shard(("/1.png", picture()), ("/1.cls", b"0")), r"a\.tar: /1\.png: the name leads out of the shard$"),
    (shard((os.fsdecode(b"\xe9.png"), picture())), r"a\.tar: the name \\udce9\.png is not UTF-8$"),
    (lambda root: os.truncate(root / "train/a.tar", 700), r"a\.tar: not a whole tar file after "),
    (text("classes.txt", "ant\n"), r"train/a\.tar: 1\.png: class 1, but there are 1 classes$"),
    (text("classes.txt", "ant\nant\n"), r"classes\.txt: the name ant is given 2 times$"),
]

COCO: list[tuple[Spoil, str]] = [
    (text("annotations/instances_val2017.json", "{"), r"val2017\.json: not a COCO instances file \(no JSON: "),
    (text("annotations/instances_train2017.json", b"\xff"), r"train2017\.json: not a COCO .*, byte 0 is not UTF-8$"),
    (text("annotations/instances_val2017.json", "[]"), r"not a COCO instances file \(a list, no object\)$"),
    (rewrite(lambda c: c.pop("categories")), r"val2017\.json: not a COCO instances file \(KeyError: 'categories'\)$"),
    (rewrite(lambda c: c.update(images={})), r"val2017\.json: images is \{\}, expected a list$"),
    (rewrite(lambda c: c.update(images=[5])), r"val2017\.json: image 5, expected an object$"),
    (rewrite(lambda c: c.update(categories=[])), r"val2017\.json: categories: no class names$"),
    (rewrite(lambda c: c.update(annotations=[])), r"val2017\.json: no annotations$"),
    (rewrite(lambda c: c["categories"][1].update(name="other")), "have different categories, bee is in one alone$"),
    (record("categories", id=1), r"val2017\.json: category id 1 is given twice$"),
    (record("categories", name="ant"), r"val2017\.json: categories: the name ant is given 2 times$"),
    (record("categories", name=7), r"category 2: name is 7, expected a name$"),
    (record("images", id=1), r"image id 1 is given twice$"),
    (record("images", id="2"), r"image 2: id is '2', expected an integer$"),
    (record("images", file_name="../2.png"), r"image 2: file_name is '\.\./2\.png', expected a file below"),
    (record("images", file_name="/2.png"), r"image 2: file_name is '/2\.png', expected a file below"),
    (record("images", file_name="2\n.png"), r"image 2: file_name is .*, expected a file below"),
    (record("images", file_name="3.png"), r"val2017\.json: image .*val2017/3\.png does not exist$"),
    (record("images", width=7), r"val2017/2\.png: 6x4 pixels, but instances_val2017\.json says 7x4$"),
    (record("images", height=0), r"image 2: height is 0, expected a number of pixels$"),
    (record("annotations", id=1), r"annotation id 1 is given twice$"),
    (record("annotations", category_id=9), r"annotation 2 has unknown category_id 9$"),
    (record("annotations", image_id=9), r"annotation 2 has unknown image_id 9$"),
    (record("annotations", image_id=[]), r"annotation 2: image_id is \[\], expected an integer$"),
    (record("annotations", bbox=[float("nan"), 0, 1, 1]), r"annotation 2: bbox is \[nan.*\], expected four numbers$"),
    (record("annotations", bbox=[0, 0, float("inf"), 1]), r"annotation 2: bbox is .*, expected four numbers$"),
    (record("annotations", bbox=["0", 0, 1, 1]), r"annotation 2: bbox is \['0', 0, 1, 1\], expected four numbers$"),
    (record("annotations", bbox=[0, 0, 1]), r"annotation 2: bbox is \[0, 0, 1\], expected four numbers$"),
    (record("annotations", bbox=None), r"annotation 2: bbox is missing, expected four numbers$"),
    (record("annotations", bbox=[0, 0, 10**400, 1]), r"of annotation 2 lies outside its image 2\.png \(6x4\)$"),
    (record("annotations", bbox=[1, 1, -1, 1]), r"box \[1, 1, -1, 1\] of annotation 2 has a negative size$"),
    (record("annotations", area=None), r"annotation 2: area is missing, expected a number of pixels$"),
    (record("annotations", iscrowd=None), r"annotation 2: iscrowd is missing, expected 0 or 1$"),
    (record("annotations", iscrowd=2), r"annotation 2: iscrowd is 2, expected 0 or 1$"),
    (record("annotations", id=None), r"annotation in place 1: id is missing, expected an integer$"),
    (text("val2017/2.png", b""), r"val2017/2\.png: not a readable image \("),
]

SCENES: list[tuple[Spoil, str]] = [
    (gone("trainannot/1.png"), r"train/1\.jpg: no label file, expected 1\.png in .*trainannot$"),
    (gone("val/1.jpg"), r"valannot/1\.png: no image to this label file, expected 1\.jpg in .*/val$"),
    (
        text("trainannot/1.png", picture()),
        r"trainannot/1\.png: an image of mode RGB, expected one channel of class ids$",
    ),
    (text("trainannot/1.png", picture("LA")), r"trainannot/1\.png: an image of mode LA, expected one channel"),
    (text("trainannot/1.png", picture("F", kind="tiff")), r"1\.png: an image of mode F, expected one channel"),
    (text("trainannot/1.png", picture("L", (4, 6))), r"1\.png: 4x6 pixels differ from its image's 6x4$"),
    (text("trainannot/1.png", b""), r"trainannot/1\.png: not a readable image \("),
    (text("train/1.jpg", b"GIF"), r"train/1\.jpg: not a readable image \("),
    (both(gone("val/1.jpg"), gone("val/2.jpg")), "data set mine: no images in val below"),
    (lambda root: (root / "valannot").rename(root / "other"), r"/valannot is missing; layout camvid"),
    (text("classes.json", '["ant", ""]'), r"classes\.json: class 1 has no name$"),
]

SHIFT: list[tuple[Spoil, str]] = [
    (text("imagenet-a/b.png", picture()), r"imagenet-a/b\.png: a picture in no class folder$"),
    (text("imagenet-o/ant/b.jpg", b"\xff\xd8"), r"imagenet-o/ant/b\.jpg: not a readable image \("),
]

SCANNED = [
    pytest.param(layout, spoil, message, id=f"{layout}-{number}")
    for layout, defects in {
        "parquet": PARQUET,
        "folder": FOLDER,
        "webdataset": SHARDS,
        "coco": COCO,
        "camvid": SCENES,
        "shift": SHIFT,
    }.items()
    for number, (spoil, message) in enumerate(defects)
]


@pytest.mark.parametrize("layout", GOOD)
@pytest.mark.parametrize("digest", ["content", "listing"])
def test_data_without_a_defect_pass(tmp_path: Path, layout: str, digest: str) -> None:
    GOOD[layout](tmp_path)
    assert scan(tmp_path, layout, digest)["classes"] == ([] if layout == "shift" else ["ant", "bee"])


@pytest.mark.parametrize(("layout", "spoil", "message"), SCANNED)
def test_the_data_stage_finds_a_defect(tmp_path: Path, layout: str, spoil: Spoil, message: str) -> None:
    root = damaged(tmp_path / "set", layout, spoil)
    line = line_of(lambda: scan(root, layout))
    assert re.search(message, line), line
    assert str(root) in line


READ: list[tuple[str, Spoil, Callable[[Path], object], str]] = [
    (
        "parquet",
        table(image=[picture(), picture(size=(5, 4))]),
        lambda root: load_images(root, "parquet", "train", None),
        r"train\.parquet row 1: 5x4 pixels; images of different sizes; small-image data sets have one size$",
    ),
    (
        "parquet",
        table(label=[0, 9]),
        lambda root: pictures(root, "parquet", "train"),
        r"train\.parquet row 1: label 9, expected 0 to 1$",
    ),
    (
        "parquet",
        table(image=[picture(), picture()[:-30]]),
        lambda root: load_images(root, "parquet", "train", None),
        r"train\.parquet row 1: not a readable image \(",
    ),
    (
        "parquet",
        table(image=pyarrow.array([], pyarrow.binary()), label=pyarrow.array([], pyarrow.int64())),
        lambda root: load_images(root, "parquet", "train", None),
        r"train\.parquet: no images$",
    ),
    (
        "folder",
        both(gone("train/ant/a.png"), gone("train/bee/a.png")),
        lambda root: load_images(root, "folder", "train", None),
        r"/train: no images$",
    ),
    (
        "folder",
        link("train/cow", "/nowhere/cow"),
        lambda root: list_folder(root / "train"),
        r"train/cow: a link that leads nowhere",
    ),
    (
        "folder",
        text("train/ant/a.png", picture()[:-30]),
        lambda root: pictures(root, "folder", "train").picture(0),
        r"train/ant/a\.png: not a readable image \(",
    ),
    (
        "camvid",
        text("trainannot/1.png", picture("P", (6, 4))[:-30]),
        lambda root: check_scenes(find_scenes(root, "camvid", "train"), 2),
        r"trainannot/1\.png: not a readable image \(",
    ),
    (
        "camvid",
        text("trainannot/1.png", sixteen_bits(np.full((4, 6), 300))),
        lambda root: check_scenes(find_scenes(root, "camvid", "train"), 2),
        r"trainannot/1\.png: label 300, expected 0 to 1 or 255 \(ignored\)$",
    ),
    (
        "camvid",
        text("trainannot/1.png", picture("F", kind="tiff")),
        lambda root: check_scenes(find_scenes(root, "camvid", "train"), 2),
        r"trainannot/1\.png: floating-point numbers, expected class ids$",
    ),
]


@pytest.mark.parametrize(("layout", "spoil", "read", "message"), READ)
def test_a_reader_finds_a_defect(
    tmp_path: Path, layout: str, spoil: Spoil, read: Callable[[Path], object], message: str
) -> None:
    root = damaged(tmp_path / "set", layout, spoil)
    line = line_of(lambda: read(root))
    assert re.search(message, line), line


# ---- folders and files that cannot be read --------------------------------------------------------------------------


def refused(monkeypatch: pytest.MonkeyPatch, function: str, name: str, error: OSError) -> None:
    """Let ``os.<function>`` fail for paths that end with ``name``, as it does without permission."""
    original = getattr(os, function)

    def failing(path: Any, *rest: Any, **how: Any) -> Any:
        if str(path).endswith(name):
            raise error
        return original(path, *rest, **how)

    monkeypatch.setattr(os, function, failing)


@pytest.mark.parametrize("read", [lambda root: scan(root, "folder"), lambda root: list_folder(root / "train")])
def test_no_class_goes_missing_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    GOOD["folder"](tmp_path)
    refused(monkeypatch, "scandir", "train/bee", PermissionError(13, "Permission denied"))
    assert re.search(r"train/bee: not a readable folder \(.*Permission denied", line_of(lambda: read(tmp_path)))


@pytest.mark.parametrize("how", ["content", "listing"])
def test_a_file_that_vanishes_while_the_digest_is_taken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    GOOD["folder"](tmp_path)
    listed = layouts.files_of(tmp_path)
    monkeypatch.setattr(layouts, "files_of", lambda root: listed)
    listed[-1].unlink()
    assert re.search(
        r"val/bee/a\.png: not readable while the digest of .* is taken \(", line_of(lambda: digest_of(tmp_path, how))
    )


def test_a_linked_folder_counts_with_what_is_in_it(tmp_path: Path) -> None:
    root = tmp_path / "set"
    GOOD["folder"](root)
    before = digest_of(root, "content")
    (root / "train").rename(tmp_path / "elsewhere")
    (root / "train").symlink_to(tmp_path / "elsewhere")
    assert digest_of(root, "content") == before
    save(tmp_path / "elsewhere/ant/b.png", picture())
    assert digest_of(root, "content") != before
    assert scan(root, "folder")["splits"] == {"train": 3, "val": 2}


def test_of_a_set_whose_files_are_listed_no_picture_is_opened(tmp_path: Path) -> None:
    GOOD["folder"](tmp_path)
    save(tmp_path / "train/ant/b.png", b"no picture")
    assert scan(tmp_path, "folder", "listing")["splits"]["train"] == 3
    save(tmp_path / "train/ant/b.png", b"")
    assert line_of(lambda: scan(tmp_path, "folder", "listing")).endswith("train/ant/b.png: a picture of no bytes")


def test_a_data_set_is_looked_at_once(tmp_path: Path) -> None:
    damaged(tmp_path, "coco", record("annotations", iscrowd=None))
    spec = DataParams(layout="coco", digest="content", path="x")
    line_of(lambda: describe("mine", spec, tmp_path, looked_at="another"))
    digest = digest_of(tmp_path, "content")
    assert describe("mine", spec, tmp_path, looked_at=digest)["digest"] == digest


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "kind"), [("1", "png"), ("L", "png"), ("LA", "png"), ("P", "gif"), ("RGBA", "webp"), ("CMYK", "jpeg")]
)
def test_pictures_of_other_modes_become_rgb(mode: str, kind: str) -> None:
    assert decode(picture(mode, kind=kind), "a").mode == "RGB"


def test_sixteen_bits_become_the_upper_eight() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]])
    assert np.asarray(decode(sixteen_bits(values), "a"))[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_of_a_palette_with_transparency_the_colours_stay(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert np.asarray(decode(tmp_path / "a.png", "a")).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    for kind in ("gif", "png", "webp"):
        frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:], lossless=True)
        red, _, blue = np.asarray(decode(tmp_path / f"a.{kind}", "a"))[0, 0].tolist()
        assert (red, blue) == (255, 0)


# ---- what the data stage wrote --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], r"manifest\.json: not the manifest of a data set \(no JSON: "),
        (lambda text: "", r"manifest\.json: not the manifest of a data set \(no JSON: "),
        (lambda text: "[]", r"manifest\.json: a list, expected the manifest of a data set"),
        (lambda text: text.replace('"digest"', '"digests"'), r"manifest\.json: digest is missing, expected a digest"),
        (lambda text: text.replace('"zero"', "0"), r"manifest\.json: classes is not a list of class names"),
        (lambda text: text.replace('"zero"', '""'), r"manifest\.json: classes is not a list of class names"),
        (lambda text: re.sub(r'"train": \d+', '"train": "all"', text), r"splits is not images by split"),
        (lambda text: re.sub(r'"train": \d+', '"train": -1', text), r"splits is not images by split"),
    ],
)
def test_a_manifest_that_was_changed_names_the_stage(tiny: Tiny, change: Callable[[str], str], message: str) -> None:
    path = tiny.root / "out/data/small/manifest.json"
    path.write_text(change(path.read_text()))
    line = line_of(lambda: read_manifest(tiny.context("retrain", row="found"), "small"))
    assert re.search(f"^{re.escape(str(tiny.root))}.*{message}", line), line
    assert line.endswith("; run the stage data@small again")
    assert former_manifest(path) == {}


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_an_index_of_shards_that_was_damaged_is_named_and_made_anew(tmp_path: Path, content: bytes | None) -> None:
    root, index = tmp_path / "set", tmp_path / "photos" / "index.parquet"
    GOOD["webdataset"](root)
    index.parent.mkdir()
    shards.record(root, index, "digest")
    whole = index.read_bytes()
    if content is None:
        write_table(index)
    else:
        index.write_bytes(content)
    line = line_of(lambda: shards.load(root, index))
    assert re.search(r"index\.parquet: no index of shards \(.*; delete it and run the stage data@photos$", line), line
    shards.record(root, index, "digest")
    assert index.read_bytes() == whole
