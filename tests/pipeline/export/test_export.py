"""``genas export``: the whole folder or none, with a card that says what is known, and whose examples run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from genas.models.errors import GenasError
from genas.models.networks import export as formats
from genas.models.networks.files.checkpoint import Preprocessing, load_network, read_header
from genas.models.networks.published import zoo
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.__main__ import run
from genas.pipeline.config import REPOSITORY, load_params
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.export.card import model_card
from genas.pipeline.export.folder import FILES, export
from genas.pipeline.results import records
from genas.pipeline.stages.graph import settings
from tests.conftest import Killed, Tiny, make_tiny
from tests.networks import write_network
from tests.pipeline.conftest import leave

ROW = "published"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Iterator[Tiny]:
    """A tiny profile with one retrained and exported row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        patch.setenv("GENAS_MLFLOW", "off")
        profile = make_tiny(tmp_path_factory.mktemp("exported"))
        run("zoo", {"row": "darts_v2_c10"}, profile.root)
        run("retrain", {"row": ROW}, profile.root)
        export(profile.root, ROW)
        yield profile


@pytest.fixture
def fresh(exported: Tiny, tmp_path: Path) -> Tiny:
    """The same in a folder of its own, to change."""
    return Tiny(shutil.copytree(exported.root, tmp_path / "profile"))


def folder_of(profile: Tiny) -> Path:
    return profile.root / "out" / "export" / ROW


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_export_is_whole_and_nothing_lies_beside_it(exported: Tiny) -> None:
    assert sorted(contents(folder_of(exported))) == sorted(FILES)
    assert [path.name for path in folder_of(exported).parent.iterdir()] == [ROW]


@pytest.mark.slow
def test_the_same_row_gives_the_same_bytes_wherever_it_is_written(exported: Tiny, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a" / "b"
    assert export(exported.root, ROW, elsewhere) == elsewhere
    assert contents(elsewhere) == contents(folder_of(exported))


@pytest.mark.slow
def test_an_earlier_export_stays_until_the_new_one_is_whole(fresh: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    card = folder_of(fresh) / "README.md"
    card.write_text("earlier")

    def killed(source: Path, folder: Path) -> None:
        assert (folder / "model.safetensors").exists()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(formats, "write_programs", killed)
        with pytest.raises(Killed):
            export(fresh.root, ROW)
        with pytest.raises(Killed):
            export(fresh.root, ROW, fresh.root / "first")
    assert not (fresh.root / "first").exists()
    assert card.read_text() == "earlier"
    assert [path.name for path in folder_of(fresh).parent.iterdir()] == [ROW]
    export(fresh.root, ROW)
    assert "earlier" not in card.read_text()
    assert [path.name for path in folder_of(fresh).parent.iterdir()] == [ROW]


def test_the_hub_reads_the_card(exported: Tiny) -> None:
    data = ModelCard.load(folder_of(exported) / "README.md").data
    assert (data.license, data.library_name, data.pipeline_tag) == ("mit", "timm", "image-classification")
    assert {"timm", "genas"} <= set(data.tags)
    top1 = records.metrics(exported.root, ("retrain", ROW))["top1"]
    first = data.eval_results[0]
    assert (first.dataset_name, first.metric_name) == ("small", "top-1 (%)")
    assert first.metric_value == pytest.approx(top1, abs=1e-4)


def test_the_card_has_the_whole_recipe_and_the_source_of_the_cell(exported: Tiny) -> None:
    card = (folder_of(exported) / "README.md").read_text()
    params = load_params(exported.root)
    trained = settings(params, ("retrain", ROW))
    assert len(trained) > 10
    for name, value in trained.items():
        assert f"| `{name}` | {value} |" in card
    for value in zoo()["darts_v2_c10"]["source"].values():
        assert f"`{value}`" in card
    assert "| classes | 3: zero, one, two |" in card
    assert records.manifest(exported.root, "small")["digest"] in card
    assert "| images | test 30, train 60 |" in card
    cell = yaml.safe_load(re.search(r"```json\n(.*?)```", card, re.S)[1])
    assert cell == read_header(folder_of(exported) / "model.safetensors").genotype.to_dict()


def test_the_card_says_what_was_measured_and_nothing_else(fresh: Tiny) -> None:
    header = read_header(folder_of(fresh) / "model.safetensors")
    leave(fresh.root, "shift", ROW, {"v2_top1": 61.25, "o_aupr": float("nan")})
    card = model_card(load_params(fresh.root), fresh.root, ROW, header)
    assert "| shift | small_shift | V2 | 61.25 |" in card
    assert not re.search(r"nan|O AUPR|\| detect \||\| segment \|", card)


@pytest.mark.parametrize("cell", ["search/small-flatness-0", "rerank/small-angle_flatness-0-16"])
def test_the_card_says_what_found_a_searched_cell(fresh: Tiny, cell: str) -> None:
    fresh.change("rows", found__cell=cell)
    params, preprocessing = load_params(fresh.root), Preprocessing(32, (0.0,) * 3, (1.0,) * 3)
    header = read_header(write_network(fresh.root / "found.safetensors", preprocessing, layers=3))
    card = model_card(params, fresh.root, "found", header)
    assert f"`{cell.replace('/', '@')}`" in card
    searched = "small-flatness-0" if cell.startswith("search") else "small-angle_flatness-0"
    for name, value in settings(params, ("search", searched)).items():
        assert f"| `{name}` | {value} |" in card
    if cell.startswith("rerank"):
        assert "| `gamma` | 16 |" in card


@pytest.mark.slow
def test_the_examples_of_the_card_run_offline(exported: Tiny, tmp_path: Path) -> None:
    """And the picture that they prepare gives what evaluation in this project gives."""
    folder = shutil.copytree(folder_of(exported), tmp_path / "export")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 25, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.jpg")
    examples = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    assert len(examples) == 3
    # "Without this project": from here on its packages cannot be imported.
    examples[0] += "import sys\nsys.modules.update({name: None for name in sys.modules if name.startswith('genas')})\n"
    save = "torch.save([logits, torch.from_numpy(from_onnx), from_program.detach()], 'logits.pt')\n"
    surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", "\n".join([*examples, save])]
    said = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=True)
    weights = exported.root / "out" / "retrain" / ROW / "weights.safetensors"
    header = read_header(weights)
    with Image.open(folder / "image.jpg") as picture:
        images = evaluation_transform(header.preprocessing)(picture.convert("RGB"))[None]
    with torch.no_grad():
        expected = load_network(weights)(images)
    assert said.stdout == f"{header.classes[int(expected.argmax())]}\n"
    for got in torch.load(folder / "logits.pt", weights_only=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_a_row_that_is_not_there_is_one_line(fresh: Tiny) -> None:
    with pytest.raises(
        GenasError, match=r"^stage retrain has no row 'publishd', params\.yaml defines found, published$"
    ):
        export(fresh.root, "publishd")
    run_it = re.escape(f": genas run retrain@found --profile {fresh.root}")
    with pytest.raises(GenasError, match=f"^row found is not retrained yet{run_it}$"):
        export(fresh.root, "found")
    (fresh.root / "out" / "retrain" / ROW / "metrics.json").unlink()  # a run that ended between its two files
    with pytest.raises(GenasError, match=f"^row {ROW} is not retrained yet"):
        export(fresh.root, ROW)


@pytest.mark.parametrize(("name", "value"), [("width", 4), ("layers", 5), ("stem", "imagenet"), ("image_size", 48)])
def test_a_row_that_has_changed_since_is_one_line(fresh: Tiny, name: str, value: int | str) -> None:
    fresh.change("rows", **{f"{ROW}__{name}": value})
    with pytest.raises(GenasError, match=rf"weights\.safetensors: a network of {name.replace('_', ' ')} .*, expected "):
        export(fresh.root, ROW)


def test_another_cell_than_the_retrained_one_is_one_line(fresh: Tiny) -> None:
    random_genotype(np.random.default_rng(0)).save(fresh.root / "out" / "zoo" / "darts_v2_c10" / "genotype.json")
    with pytest.raises(GenasError, match="a network of another cell than "):
        export(fresh.root, ROW)


def test_a_folder_with_other_things_is_left_alone(fresh: Tiny, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    with pytest.raises(GenasError, match="holds other things than an export, choose another folder with --to"):
        export(fresh.root, ROW, mine)
    assert contents(mine) == {"README.md": b"mine"}
    with pytest.raises(GenasError, match="is a file, choose a folder with --to"):
        export(fresh.root, ROW, mine / "README.md")
    with pytest.raises(GenasError, match="cannot be written: "):
        export(fresh.root, ROW, mine / "README.md" / "below")
