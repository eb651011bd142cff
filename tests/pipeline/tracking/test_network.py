"""Retrained networks in MLflow: logged by a link to their weights, registered by cell, loaded without unpickling."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from mlflow import MlflowClient
from PIL import Image

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing, load_network, save_network
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.config import load_params
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.results import records
from genas.pipeline.tracking import mlflow as tracking
from genas.pipeline.tracking.board import leaderboard, rebuild
from genas.pipeline.tracking.mlflow import uri
from genas.pipeline.tracking.network import LINK, Link, digest

# MLflow's log_table asks pandas for "object" columns, which newer pandas wants to be asked for by another name.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow.*"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow.*"),
    pytest.mark.usefixtures("undrawn"),
]
PIXELS = Preprocessing(16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an untrained network of three classes."""
    torch.manual_seed(0)
    shape = {"width": 2, "layers": 3, "stem": "cifar", "num_classes": 3}
    network = timm.create_model("genas_network", genotype=random_genotype(np.random.default_rng(0)), **shape)
    path = tmp_path_factory.mktemp("network") / "weights.safetensors"
    save_network(path, network, PIXELS, ["zero", "one", "two"])
    return path


@pytest.fixture
def trained(finished: Path, weights: Path) -> Path:
    """A profile in which only retraining is left, of three rows, two of them of one cell."""
    for folder in (finished / "out").iterdir():
        if folder.name not in ("data", "retrain"):
            shutil.rmtree(folder)
    for row in ("flatness", "angle-flatness", "darts"):
        shutil.copy(weights, finished / "out/retrain" / row)
    path = finished / "params.yaml"
    path.write_text(path.read_text().replace("search/digits-angle_flatness-0", "search/digits-flatness-0"))
    return finished


def logged(row: str) -> Any:
    """The one logged model of a row that is there."""
    client = MlflowClient(tracking_uri=uri())
    (found,) = client.search_logged_models(["1"], f"name = '{row}'")
    return found


def registered() -> dict[str, tuple[dict[str, str], list[tuple[str, str]]]]:
    """Every registered model: its aliases, and each version with its row."""
    client = MlflowClient(tracking_uri=uri(), registry_uri=uri())
    found = {}
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'")
        rows = sorted((str(version.version), version.tags["row"]) for version in versions)
        aliases = {alias: dict(rows)[str(version)] for alias, version in model.aliases.items()}
        found[model.name] = (aliases, rows)
    return found


def test_a_network_is_a_model_that_links_to_its_weights(trained: Path, weights: Path, database: Path) -> None:
    assert rebuild(trained) == 5
    model, md5 = logged("flatness"), digest(weights)
    assert (model.tags["dvc.md5"], model.tags["dvc.path"]) == (md5, "out/retrain/flatness/weights.safetensors")
    assert {metric.key: metric.value for metric in model.metrics}["retrain/top1"] == 81.5
    assert {(metric.dataset_name, metric.dataset_digest) for metric in model.metrics} == {
        ("digits", f"{'digits':0<36}")
    }
    assert model.params["row.cell"] == "search/digits-flatness-0"

    name = "genas-demo-search-digits-flatness-0"
    assert registered()[name][0] == {"best": "flatness"}
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@best")
    assert loaded.metadata.signature.inputs.input_names() == ["image"]
    assert loaded.metadata.signature.outputs.input_names() == ["label", "probability"]
    grey = loaded.input_example
    stream = io.BytesIO()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    noise.save(stream, format="png")
    said = loaded.predict(pd.DataFrame({"image": [grey["image"][0], stream.getvalue()]}))
    with torch.no_grad():
        wanted = load_network(weights)(evaluation_transform(PIXELS)(noise)[None]).softmax(1)
    assert said["label"][1] == ["zero", "one", "two"][int(wanted.argmax())]
    assert said["probability"][1] == pytest.approx(float(wanted.max()), rel=1e-5)

    files = [path for path in (database / "mlartifacts/genas-demo/models").rglob("*") if path.is_file()]
    assert {path.name for path in files if path.parent.name == "data"} == {LINK}, "weights stay with DVC"
    assert {path.suffix for path in files} <= {"", ".json", ".yaml", ".txt"}, "nothing is pickled"
    assert max(path.stat().st_size for path in files) < 10_000


@pytest.mark.slow
def test_every_cell_has_a_registered_model_and_the_best_of_its_networks_an_alias(trained: Path) -> None:
    rebuild(trained)
    shared, other = "genas-demo-search-digits-flatness-0", "genas-demo-zoo-darts_v2_c10"
    rows = [("1", "flatness"), ("2", "angle-flatness")]
    first = {shared: ({"best": "flatness"}, rows), other: ({"best": "darts"}, [("1", "darts")])}
    assert registered() == first
    leaderboard(trained)
    assert registered() == first, "the same networks have no second version"
    path = trained / "out/retrain/angle-flatness/metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "top1": 99.0}))
    leaderboard(trained)
    assert registered() == {**first, shared: ({"best": "angle-flatness"}, rows)}
    rebuild(trained)
    assert registered()[shared] == ({"best": "angle-flatness"}, rows), "made anew, not twice"
    params = yaml.safe_load((trained / "params.yaml").read_text())
    params["rows"]["angle-flatness"]["dataset"] = "scenes"
    (trained / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    rebuild(trained)
    assert registered()[shared] == ({"best": "flatness", "best-scenes": "angle-flatness"}, rows), "no comparison"


@pytest.mark.slow
def test_without_an_address_everything_is_in_the_repositorys_database(
    trained: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(tracking, "REPOSITORY", database)
    monkeypatch.chdir(trained)
    rebuild(trained)
    assert set(registered()) == {"genas-demo-search-digits-flatness-0", "genas-demo-zoo-darts_v2_c10"}
    assert not list(trained.glob("ml*")), "MLflow's own default is never used"


def test_a_link_finds_weights_by_their_digest_alone(finished: Path, weights: Path) -> None:
    path = finished / "out/retrain/darts/weights.safetensors"
    shutil.copy(weights, path)
    link = Link.to(finished, path)
    assert link.resolved() == path
    path.write_bytes(b"other weights")
    with pytest.raises(GenasError, match=f"digest {digest(weights)} are neither there nor in DVC's cache") as error:
        link.resolved()
    assert "\n" not in str(error.value)


# DVC 3.67 reads a property that pygtrie is going to remove.
@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")
def test_a_link_finds_replaced_weights_in_dvcs_cache(finished: Path, weights: Path) -> None:
    from dvc.repo import Repo

    path = finished / "out/retrain/darts/weights.safetensors"
    shutil.copy(weights, path)
    with Repo.init(str(finished), no_scm=True) as repo:
        repo.add(str(path))
    link = Link.to(finished, path)
    path.unlink()
    path.write_bytes(b"other weights")
    assert digest(link.resolved()) == digest(weights)
    assert (finished / ".dvc").resolve() in link.resolved().parents


def test_a_row_without_weights_has_no_model(finished: Path) -> None:
    params = load_params(finished)
    assert records.metrics(finished, ("retrain", "darts"))
    leaderboard(finished)
    assert params.rows["darts"].cell == "zoo/darts_v2_c10"
    assert registered() == {}
