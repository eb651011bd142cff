"""A profile for somebody's photographs is valid whatever is there, and nothing is left where something is wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.config import REPOSITORY, load_params, profile_folder
from genas.pipeline.data.stage import check, describe
from genas.pipeline.scaffold import looking, sizes
from genas.pipeline.scaffold.looking import Objects, Photographs, Scenes
from genas.pipeline.scaffold.profile import Folders, init
from genas.pipeline.scaffold.shared import SHARED
from genas.pipeline.stages import rows_of
from tests.pipeline.data import good

CLASSES = ("blue", "green")


def write_photographs(folder: Path, count: int, size: tuple[int, int] = (40, 36)) -> Path:
    """So many photographs of each class."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, name).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a place for profiles and for data, instead of the repository."""
    for module in ("genas.pipeline.config.places", "genas.pipeline.scaffold.profile"):
        monkeypatch.setattr(f"{module}.REPOSITORY", tmp_path)
    monkeypatch.setenv("GENAS_DATA", str(tmp_path / "data"))
    return tmp_path


def left(home: Path) -> list[str]:
    """What there is of profiles and data, but for what all profiles have the same."""
    found = (path.relative_to(home) for name in ("profiles", "data") for path in (home / name).glob("*/*"))
    return sorted(str(path) for path in found if path.name not in {Path(one).parts[0] for one in SHARED})


def test_photographs_alone(home: Path) -> None:
    """In class folders without train and val: every fifth is held out, by links, and nothing is written there."""
    mine = write_photographs(home / "mine", 11)
    folder, found = init("pets", Folders(mine))
    assert (folder, found) == (home / "profiles" / "pets", "18 + 4 photographs of 2 classes")
    assert profile_folder("pets") == folder.resolve()
    params = load_params(folder)
    assert params.profile == "pets"
    assert (params.detect, params.segment) == (None, None)
    assert (folder / "dvc.yaml").read_text() == (REPOSITORY / "dvc.yaml").read_text()
    assert (folder / params.code / "pipeline").resolve() == home / "pipeline"
    assert (
        (folder / "params.yaml").read_text().startswith("# pets: a search on photographs of one's own.\n#\n#   command")
    )
    assert all(ok for _, ok, _ in check(folder))
    root = home / "data" / "pets" / "photographs"
    told = describe("photographs", params.data["photographs"], root)
    assert (told["splits"], told["classes"]) == ({"train": 18, "val": 4}, ["blue", "green"])
    assert sorted(path.name for path in (root / "val" / "blue").iterdir()) == ["3.png", "8.png"]
    assert (root / "train" / "blue" / "10.png").resolve() == mine / "blue" / "10.png"
    assert {stage: len(rows_of(params, stage)) for stage in ("search", "retrain", "shift", "detect", "segment")} == {
        "search": 2, "retrain": 3, "shift": 3, "detect": 0, "segment": 0,
    }  # fmt: skip


def test_a_relative_path_is_linked_by_its_whole_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(home / "mine", 11)
    good.coco(home / "boxes")
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    init("pets", Folders(Path("../mine"), Path("../boxes")))
    links = home / "data" / "pets"
    assert (links / "photographs" / "val" / "blue" / "3.png").readlink() == home / "mine" / "blue" / "3.png"
    assert (links / "objects").readlink() == home / "boxes"


def test_a_coco_set_and_scenes_beside(home: Path) -> None:
    """With train and val; what lies below the data root already needs no link."""
    for split in ("train", "val"):
        write_photographs(home / "data" / "own photographs" / split, 6)
    good.coco(home / "boxes")
    good.camvid(home / "scenes")
    folder, found = init("all", Folders(home / "data" / "own photographs", home / "boxes", home / "scenes"))
    assert found == "12 + 12 photographs of 2 classes, 2 images with boxes of 2 classes, 2 scenes with labels"
    params = load_params(folder)
    assert params.data["photographs"].path == "own photographs"
    assert left(home) == ["data/all/objects", "data/all/scenes", "data/own photographs/train",
                          "data/own photographs/val", "profiles/all/params.yaml"]  # fmt: skip
    assert all(ok for _, ok, _ in check(folder))
    assert params.data["scenes"].layout == "camvid"
    assert (rows_of(params, "detect"), rows_of(params, "segment")) == (["angle_flatness"], ["angle_flatness"])
    assert "# Written by genas init, which found 12 + 12 photographs" in (folder / "params.yaml").read_text()


Spoil = Callable[[Path], object]


def both(folder: Path) -> None:
    """Class folders in train and val."""
    for split in ("train", "val"):
        write_photographs(folder / split, 4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda mine: None, r"mine: no such folder, expected one with class folders of photographs, or train and val"),
        (lambda mine: write_photographs(mine, 1), r"mine/blue: 1 photographs \(.jpg, .jpeg, .png, .webp\), expected"),
        (lambda mine: write_photographs(mine, 4), r"mine: 6 photographs to train on, expected 8 or more"),
        (lambda mine: (write_photographs(mine, 5), shutil.rmtree(mine / "blue")), "mine: 1 class folders, expected"),
        (lambda mine: (write_photographs(mine, 9), (mine / "blue" / "2.png").write_bytes(b"x")), "blue/2.png: not a"),
        (lambda mine: (both(mine), shutil.rmtree(mine / "val" / "blue")), "mine/val: no class folder blue, which "),
        (lambda mine: (both(mine), [path.unlink() for path in mine.glob("val/*/*")]), "mine/val: no photographs, exp"),
        (lambda mine: (both(mine), shutil.rmtree(mine / "val")), "mine/val: no such folder beside train"),
        (lambda mine: (both(mine), shutil.rmtree(mine / "train")), "mine/train: no such folder beside val"),
        (lambda mine: (both(mine), (mine / "val" / "blue" / "2.png").write_bytes(b"x")), "blue/2.png: not a readable"),
        (lambda mine: (write_photographs(mine, 9), (mine / "red").symlink_to("nowhere")), "red: a link that leads now"),
    ],
)  # fmt: skip
def test_photographs_that_will_not_do(home: Path, spoil: Spoil, message: str) -> None:
    spoil(home / "mine")
    with pytest.raises(GenasError, match=message) as caught:
        init("pets", Folders(home / "mine"))
    assert "\n" not in str(caught.value)
    assert left(home) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_class_folder_that_cannot_be_read(home: Path) -> None:
    (write_photographs(home / "mine", 9) / "blue").chmod(0)
    with pytest.raises(GenasError, match="mine/blue: not a readable folder"):
        init("pets", Folders(home / "mine"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b", "'a b' is no name of a profile, expected letters, digits, - and _ alone"),
        ("../up", "is no name"),
        ("", "'' is no name"),
        ("x\n", "is no name"),
        ("paper", "profile paper is there already"),
        ("demo", "profile demo is there already"),
        ("old", "profile old is there already .*profiles/old"),
        ("linked", "data/linked/photographs is there already; remove it, or choose another name"),
    ],
)
def test_names_that_will_not_do(home: Path, name: str, message: str) -> None:
    (home / "profiles" / "old").mkdir(parents=True)
    (home / "data" / "linked" / "photographs").mkdir(parents=True)
    before = left(home)
    with pytest.raises(GenasError, match=message):
        init(name, Folders(write_photographs(home / "mine", 9)))
    assert left(home) == before


def test_nothing_is_left_where_it_cannot_be_written(home: Path) -> None:
    (home / "profiles").write_text("a file")
    with pytest.raises(GenasError, match=r"^the profile pets cannot be written \(.*\); GENAS_DATA sets the data root$"):
        init("pets", Folders(write_photographs(home / "mine", 9)))
    assert left(home) == []


@pytest.mark.parametrize(
    ("detect", "segment", "message"),
    [
        ("nothing", None, r"nothing: no such folder, expected one with the layout of COCO \(annotations/instances_"),
        ("scenes", None, "data set objects: .*instances_train2017.json is missing; layout coco expects"),
        (None, "nothing", r"nothing: no such folder, expected one with the layout of cityscapes \(leftImg8bit"),
        (None, "boxes", "boxes: neither the layout of cityscapes .* or camvid"),
        (None, "many", "many: 12 classes, but in CamVid's layout label 11 is what does not count; use that of City"),
    ],
)  # fmt: skip
def test_other_sets_that_will_not_do(home: Path, detect: str | None, segment: str | None, message: str) -> None:
    good.coco(home / "boxes")
    for name in ("scenes", "many"):
        good.camvid(home / name)
    (home / "many" / "classes.json").write_text(json.dumps([str(i) for i in range(12)]))
    folders = Folders(write_photographs(home / "mine", 9), *(one and home / one for one in (detect, segment)))
    with pytest.raises(GenasError, match=message):
        init("pets", folders)
    assert left(home) == []


def test_sizes_follow_what_is_there() -> None:
    """Of ``mini``'s sets those of ``mini``, within a few steps; less where there is less."""
    large = sizes.of_photographs(Photographs(100, 50_000, 10_000, 224, None))
    assert (large["supernet_epochs"], large["supernet_batch"], large["images"], large["image_size"]) == (
        5,
        64,
        512,
        128,
    )
    assert (large["retrain_epochs"], large["retrain_batch"], large["digest"]) == (10, 32, "content")
    fewest = sizes.of_photographs(Photographs(2, looking.FEWEST, 2, 20, None))
    assert (fewest["supernet_epochs"], fewest["supernet_batch"], fewest["images"], fewest["image_size"]) == (
        30,
        2,
        4,
        32,
    )
    assert (fewest["retrain_epochs"], fewest["retrain_batch"], fewest["error_images"]) == (40, 2, [2, 4])
    assert sizes.of_photographs(Photographs(2, 100_000, 2, 20, None))["digest"] == "listing"
    mini = sizes.of_objects(Objects(80, 192, 427))
    assert (mini["detect_iterations"], mini["detect_sides"], mini["detect_longest"]) == (576, [160, 192], 256)
    assert sizes.of_objects(Objects(2, 2, 4))["detect_sides"] == [32, 32]
    camvid = sizes.of_scenes(Scenes("camvid", 180, (480, 360)))
    assert (camvid["segment_scale"], camvid["segment_crop"], camvid["segment_iterations"]) == ([240, 180], 160, 540)
    assert sizes.of_scenes(Scenes("camvid", 2, (6, 4)))["segment_crop"] == 32


def test_batches_hold_at_least_two() -> None:
    assert [sizes.batch(images, 64) for images in (4, 8, 63, 255, 256, 10_000)] == [2, 2, 8, 32, 64, 64]
    assert int(np.log2(sizes.batch(10_000, 32))) == 5
