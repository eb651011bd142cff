"""Parameters: the profiles are valid, and every mistake is one line that names the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from genas.models.errors import GenasError
from genas.pipeline.config import (
    MEASURES,
    PROFILES,
    REPOSITORY,
    MetricParams,
    Params,
    SupernetParams,
    data_root,
    load_params,
    profile_folder,
    profiles,
)
from genas.pipeline.config.reading import read_yaml
from genas.pipeline.config.search import measures_in
from genas.pipeline.report.overview import settings
from genas.pipeline.stages import STAGES, rows_of
from tests.conftest import STREAMED, tiny_params


def changed(path: str, value: Any) -> dict[str, Any]:
    """The tiny parameters with one value changed; ``...`` removes the key."""
    params = tiny_params()
    *keys, last = path.split(".")
    place = params
    for key in keys:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return params


def write(folder: Path, params: dict[str, Any]) -> Path:
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(profile: str) -> None:
    params = load_params(PROFILES[profile])
    assert params.profile == profile
    assert (PROFILES[profile] / params.code / "pipeline").resolve() == REPOSITORY / "pipeline"
    laboratory = {name for name, stage in STAGES.items() if stage.flow == "laboratory"}
    if profile in ("laboratory", "official"):  # a part of the chain each
        there = laboratory if profile == "laboratory" else {"supernet", "search", "zoo", "retrain"}
        assert all(rows_of(params, name) for name in there)
        return
    left_out = {"replica"} if profile == "demo" else set()  # which trains supernets
    assert all(rows_of(params, name) for name in STAGES.keys() - laboratory - left_out)
    assert set(params.metrics) >= {"flatness", "angle", "accuracy", "angle_flatness", "accuracy_flatness"}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_reads_the_one_graph(profile: str) -> None:
    """A copy and no link, because DVC follows no links in a revision of git; ``make graph`` copies."""
    own = PROFILES[profile] / "dvc.yaml"
    assert not own.is_symlink()
    assert own.read_text() == (REPOSITORY / "dvc.yaml").read_text(), "run make graph"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_retrained_row_takes_its_cell_from_a_row_that_exists(profile: str) -> None:
    params = load_params(PROFILES[profile])
    known = {f"{name}/{row}" for name, stage in STAGES.items() if stage.leaves_cell for row in stage.rows(params)}
    assert {row.cell for row in params.rows.values()} <= known


@pytest.mark.parametrize("profile", PROFILES)
def test_dense_prediction_reads_rows_with_the_imagenet_stem(profile: str) -> None:
    params = load_params(PROFILES[profile])
    for row in (*params.matrix.detect.row, *params.matrix.segment.row):
        assert params.rows[row].stem == "imagenet", row


def test_the_papers_numbers() -> None:
    """Section 4 and the official code, whose numbers the root profile holds."""
    params = load_params(PROFILES["paper"])
    supernet, search = params.supernet["cifar10"], params.search["cifar10"]
    assert (supernet.channels, supernet.layers, supernet.epochs) == (16, 8, 250)
    assert (supernet.learning_rate, supernet.learning_rate_min) == (0.025, 0.001)
    assert params.measures.flatness.sigma == (1e-3, 3e-3, 6e-3)
    assert params.measures.flatness.alpha == 1
    assert params.metrics["angle_flatness"] == MetricParams(
        terms={"angle": 1, "flatness": 16}, combine="sum", strategy="evolution"
    )
    assert search.population * search.generations == 1000
    assert (search.parents, search.mutated, search.crossed) == (10, 25, 25)
    official = params.recipes["official"]
    assert (official.epochs, official.batch_size, official.learning_rate) == (250, 1024, 0.5)
    assert (official.schedule, official.label_smoothing, official.optimizer) == ("linear", 0.1, "momentum")
    assert (official.normalise, official.preprocessing) == ("none", "official")
    assert {row.layers for row in params.rows.values()} == {14}


def test_the_rows_are_named_as_dvc_names_them() -> None:
    params = Params.model_validate(tiny_params())
    rows = {stage: rows_of(params, stage) for stage in STAGES}
    assert rows["supernet"] == ["small-0", "small-1"]
    assert rows["search"] == ["small-flatness-0", "small-angle-0", "small-angle_flatness-0", "small-accuracy-0"]
    assert rows["retrain"] == ["found", "published"]
    assert rows["rerank"] == ["small-angle_flatness-0-0", "small-angle_flatness-0-16"]
    assert rows["agreement"] == ["small-0"]
    assert rows["report"] == [""]


def models_of(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and all that its fields hold."""
    found = {model}
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            kind = waiting.pop()
            waiting += get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in found:
                found |= models_of(kind)
    return found


@pytest.mark.parametrize("model", sorted(models_of(Params), key=lambda model: model.__name__))
def test_no_number_has_its_default_in_the_code(model: type[BaseModel]) -> None:
    """What code would assume silently, nobody sees change: only "not given" and a text for people may be left out."""
    defaults = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
    assert set(defaults.values()) <= {None, ""}, defaults
    assert not any(field.default_factory for field in model.model_fields.values())


def test_a_cell_may_come_from_other_gammas() -> None:
    params = tiny_params()
    params["rows"]["found"]["cell"] = "rerank/small-angle_flatness-0-16"
    assert Params.model_validate(params).rows["found"].cell == "rerank/small-angle_flatness-0-16"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("supernet.small.chanels", 4, "supernet.small.chanels: unknown key"),
        ("supernet.small.channels", ..., "supernet.small.channels: Field required"),
        ("supernet.small.channels", "many", "supernet.small.channels: .* valid integer.*, got 'many'"),
        ("supernet.small.channels", 0, "supernet.small.channels: .*greater than or equal to 1, got 0"),
        ("supernet.small.layers", 2, "supernet.small.layers: .*greater than or equal to 3, got 2"),
        ("supernet.small.stem", "photographs", "supernet.small.stem: .*'cifar' or 'imagenet', got 'photographs'"),
        ("supernet.small.stem", ..., "supernet.small.stem: Field required"),
        ("supernet.small.streamed", ..., "supernet.small.streamed: Field required"),
        ("supernet.small.streamed", STREAMED, "supernet.small: crop_padding: 0 with streamed, whose crops follow"),
        (
            "supernet.small.streamed",
            STREAMED | {"color_jitter": 0.4},
            "supernet.small.streamed: the official preprocessing has no color_jitter",
        ),
        ("supernet.small.streamed", STREAMED | {"workers": -1}, "supernet.small.streamed.workers: .*got -1"),
        ("supernet.small.unselected", "keep", "supernet.small.unselected: .*'first' or 'freeze', got 'keep'"),
        (
            "supernet.small.unselected",
            "first",
            "supernet.small: unselected: first needs trainer plain, the fast one has",
        ),
        ("measures.mean", "pixels", "measures.mean: .*'images' or 'batches', got 'pixels'"),
        ("supernet.small.train_share", 1.0, "supernet.small.train_share: .*less than 1, got 1.0"),
        ("supernet.small.learning_rate", -0.1, "supernet.small.learning_rate: .*greater than 0, got -0.1"),
        ("matrix.rerank.search", ["small-loss-0"], "matrix.rerank.search: 'small-loss-0' is no row of search, defined"),
        (
            "matrix.rerank.search",
            ["small-angle-0"],
            "'small-angle-0' was not searched with flatness, which gamma weighs",
        ),
        (
            "matrix.rerank.search",
            ["small-flatness-0"],
            "rerank.gamma: 0 leaves nothing of 'small-flatness-0', which has",
        ),
        (
            "matrix.search.seed",
            [0, 7],
            "matrix.search: 'small-flatness-7' looks into supernet 'small-7', which matrix.supernet lacks, defined are "
            "small-0, small-1$",
        ),
        ("matrix.reseed.supernet", [2], "matrix.reseed: 'small-flatness-2-0-0' looks into supernet 'small-2', which"),
        ("matrix.reseed.noise", [-1], "matrix.reseed.noise.0: .*greater than or equal to 0, got -1"),
        ("matrix.reseed.metric", ["speed"], "matrix.reseed.metric: unknown metric 'speed', defined are flatness"),
        ("matrix.replica.dataset", ["lost"], "matrix.replica: unknown data set 'lost', defined are"),
        ("supernet.small.split", "first", "matrix.replica.split: supernet.small has the split 'first', which no seed"),
        ("replica.measures", ["flatness", "depth"], "replica: unknown measure 'depth', expected one of flatness,"),
        ("replica", None, "replica: null, but matrix.replica has rows that read it"),
        ("rows.found.seed", -1, "rows.found.seed: .*greater than or equal to 0, got -1"),
        (
            "rows.found.cell",
            "reseed/small-flatness-0-5-0",
            "rows.found.cell: .* no row of search, reseed, rerank or zoo",
        ),
        ("matrix.agreement.dataset", ["large"], "matrix.agreement: unknown data set 'large'"),
        ("agreement.measures", ["flatness", "depth"], "agreement: unknown measure 'depth', expected one of flatness,"),
        (
            "metrics.flatness",
            {"terms": {}, "combine": "sum", "strategy": "evolution"},
            "metrics.flatness.terms: .*at least 1 item",
        ),
        ("metrics.flatness.combine", "product", "metrics.flatness.combine: .*'rank' or 'log_rank', got 'product'"),
        ("metrics.flatness.combine", ..., "metrics.flatness.combine: Field required"),
        ("search.small.max_macs", -1, "search.small.max_macs: .*greater than 0, got -1"),
        ("measures.flatness.sigma", [0.1, 0.1], r"measures.flatness: sigma must increase, got \[0.1, 0.1\]"),
        ("measures.flatness.sigma", [0.2, 0.1, 0.3], "measures.flatness: sigma must increase"),
        ("measures.flatness.sigma", [0.1], "measures.flatness.sigma: .*at least 2 items"),
        ("measures.flatness.sigma", [0.0, 0.1], "measures.flatness.sigma.0: .*greater than 0, got 0.0"),
        ("curvature.sigma", [0.01, 0.02, 0.03], r"curvature: sigma must begin with 0, got \[0.01, 0.02, 0.03\]"),
        ("curvature.sigma", [0, 0.02, 0.01], r"curvature: sigma must increase, got \[0.0, 0.02, 0.01\]"),
        ("curvature.sigma", [0, 0.0, 0.01], "curvature: sigma must increase"),
        ("curvature.sigma", [0, 0.01], "curvature.sigma: .*at least 3 items"),
        ("curvature.sigma", [0, 0.01, float("inf")], "curvature.sigma.2: .*finite number, got inf"),
        ("curvature.sigma", [-0.01, 0, 0.01], "curvature.sigma.0: .*greater than or equal to 0, got -0.01"),
        ("curvature.draws", 0, "curvature.draws: .*greater than or equal to 1, got 0"),
        ("curvature.noise", "cumulative", "curvature.noise: unknown key"),
        ("curvature.images", ..., "curvature.images: Field required"),
        ("matrix.curvature.row", ["lost"], "matrix.curvature.row: unknown row 'lost', defined are found, published"),
        ("measures.flatness.noise", "uniform", "measures.flatness.noise: .*'independent' or 'cumulative'"),
        (
            "metrics.mine",
            {"terms": {"sharpness": 1}, "combine": "sum", "strategy": "evolution"},
            "metrics.mine: unknown measure 'sharpness', expected one of flatness, angle",
        ),
        (
            "matrix.search.metric",
            ["speed"],
            "matrix.search.metric: unknown metric 'speed', defined are flatness, angle",
        ),
        ("matrix.search.dataset", ["cifar"], "matrix.search: unknown data set 'cifar', defined are digits|small"),
        ("rows.found.dataset", "imagenet", "rows.found: unknown data set 'imagenet'"),
        ("shift.trained_on", "imagenet", "shift.trained_on: 'imagenet', but shift judges 'found' of 'small'"),
        ("curvature.trained_on", "small_shift", "curvature.trained_on: 'small_shift', but curvature judges 'found'"),
        ("matrix.shift.row", ["lost"], "matrix.shift.row: unknown row 'lost', defined are found, published"),
        ("search.small.mutated", 9, "search.small: mutated \\+ crossed exceeds population"),
        ("recipes.short.schedule", "linear", "recipes.short: the linear schedule .* epochs must exceed 5"),
        ("recipes.short.drop_path", 1.5, "recipes.short.drop_path: .*less than 1, got 1.5"),
        ("recipes.short.accumulate", 9, "recipes.short: batch_size 16 in 9 parts: a part has at least 2 images"),
        ("recipes.short.preprocessing", "official", "recipes.short: the official preprocessing has no color_jitter"),
        ("recipes.short.warmup_to", "decayed", "recipes.short: warmup_to decayed needs schedule linear"),
        ("rows.found.recipe", "long", "rows.found.recipe: unknown recipe 'long', defined are short"),
        ("rows.found.macs", 6e8, "rows.found: exactly one of width and macs is given"),
        ("rows.found.stem", "resnet", "rows.found.stem: .*'imagenet' or 'cifar', got 'resnet'"),
        ("rows.found.cell", "flatness", "rows.found.cell: .*'flatness'"),
        ("rows.found.cell", "search/small-lost-0", "rows.found.cell: .*'search/small-lost-0'"),
        ("data.small.path", ..., "data.small: exactly one of path and derive is given"),
        ("data.small.derive", "digits", "data.small: exactly one of path and derive is given"),
        ("data.small.seed", 1, "data.small: seed says nothing here"),
        ("data.small_shift.seed", ..., "data.small_shift: seed is missing"),
        ("data.small_shift.layout", "parquet", "data.small_shift: pixels is missing"),
        ("data.small.digest", ..., "data.small.digest: Field required"),
        ("supernet.small.channels", "4", "supernet.small.channels: .*valid integer.*, got '4'"),
        ("supernet.small.channels", 4.0, "supernet.small.channels: .*valid integer"),
        ("supernet.small.channels", True, "supernet.small.channels: .*valid integer.*, got True"),
        ("supernet.small.flip", "no", "supernet.small.flip: .*valid boolean.*, got 'no'"),
        ("supernet.small.flip", 0, "supernet.small.flip: .*valid boolean"),
        ("supernet.small.learning_rate", "0.1", "supernet.small.learning_rate: .*valid number, got '0.1'"),
        ("supernet.small.learning_rate", float("inf"), "supernet.small.learning_rate: .*finite number, got inf"),
        ("supernet.small.weight_decay", float("nan"), "supernet.small.weight_decay: .*"),
        ("supernet.small.batch_size", 1, "supernet.small.batch_size: .*greater than or equal to 2, got 1"),
        ("metrics.flatness.terms", {"flatness": float("nan")}, "metrics.flatness.terms.flatness: .*finite number"),
        ("matrix.rerank.gamma", [float("inf")], "matrix.rerank.gamma.0.*: .*got inf"),
        ("matrix.supernet.seed", [-1], "matrix.supernet.seed.0: .*greater than or equal to 0, got -1"),
        ("matrix.supernet.seed", [2**32], "matrix.supernet.seed.0: .*less than 4294967296, got 4294967296"),
        ("matrix.supernet.seed", 0, "matrix.supernet.seed: .*valid tuple, got 0"),
        ("detect.seed", -1, "detect.seed: .*greater than or equal to 0"),
        ("rows.found.image_size", 31, "rows.found.image_size: .*greater than or equal to 32, got 31"),
        ("recipes.short.drop_path", 1.0, "recipes.short.drop_path: .*less than 1, got 1.0"),
        ("data.small.path", "../small", "data.small.path: '../small' is not a path below the data root"),
        ("data.small.path", "/etc", "data.small.path: '/etc' is not a path below the data root"),
        ("data.small_shift.derive", "small_shift", "data.small_shift.derive: unknown data set .small_shift."),
        (
            "data.small.layout",
            "camvid",
            "data.small_shift.derive: .small. has no images by class, its layout is",
        ),
        ("data.small_shift.derive", "lost", "data.small_shift.derive: unknown data set 'lost', expected digits or"),
        ("profile", "a" * 10**6 + "/", r"profile: .*pattern.*, got '.{0,40}$"),
        ("data.a/b", {}, "data.a/b.*: .*pattern"),
        ("metrics.a b", {}, "metrics.a b.*: .*pattern"),
        ("rows.a@b", {}, "rows.a@b.*: .*pattern"),
        ("recipes.a;b", {}, "recipes.a;b.*: .*pattern"),
        ("matrix.zoo.row", ["darts_v2_c10", "x; touch harm"], "matrix.zoo.row.1: .*pattern.*, got 'x; touch harm'"),
        ("profile", "../up", "profile: .*pattern.*, got '../up'"),
        ("data.small.layout", "zip", "data.small.layout: .*got 'zip'"),
        ("detect", ..., "detect: Field required"),
        ("detect", None, "detect: null, but matrix.detect has rows that read it"),
        ("measures", None, "measures: null, but matrix.supernet has rows that read it"),
        ("agreement", None, "agreement: null, but matrix.agreement has rows that read it"),
        ("retrain", None, "retrain: null, but there are rows to retrain"),
        ("search", None, "search: .*dictionary"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, path: str, value: Any, message: str) -> None:
    with pytest.raises(GenasError, match=message) as caught:
        load_params(write(tmp_path, changed(path, value)))
    assert str(caught.value).startswith(f"{tmp_path / 'params.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_all_missing_keys_are_told_at_once(tmp_path: Path) -> None:
    """And how many other things are wrong."""
    params = changed("supernet.small.channels", ...)
    del params["recipes"]["short"]["epochs"], params["detect"], params["matrix"]["zoo"]
    params["recipes"]["short"]["batch_size"] = "big"
    with pytest.raises(GenasError) as caught:
        load_params(write(tmp_path, params))
    keys = "matrix.zoo, supernet.small.channels, recipes.short.epochs, detect"
    assert str(caught.value) == f"{tmp_path / 'params.yaml'}: {keys}: Field required (and 1 more)"
    params["profile"] = 1
    with pytest.raises(GenasError, match=rf"profile: .* got 1 \(and 5 more; missing: {keys}\)$"):
        load_params(write(tmp_path, params))


READ_BY_ROWS = ("measures", "agreement", "retrain", "shift", "curvature", "detect", "segment")


def test_sections_that_no_row_reads_may_be_null() -> None:
    params = tiny_params()
    for axes in params["matrix"].values():
        axes |= {key: [] for key in axes}
    params |= dict.fromkeys(READ_BY_ROWS) | {"rows": {}, "recipes": {}, "metrics": {}, "supernet": {}, "search": {}}
    empty = Params.model_validate(params)
    assert {name for name in READ_BY_ROWS if getattr(empty, name) is None} == set(READ_BY_ROWS)
    assert Params.model_validate(empty.model_dump(mode="json")) == empty
    assert "detection" not in settings(empty)


def test_more_mistakes_are_counted(tmp_path: Path) -> None:
    params = changed("supernet.small.channels", 0)
    params["recipes"]["short"]["batch_size"] = "big"
    with pytest.raises(GenasError, match=r"supernet.small.channels: .* \(and 1 more\)$"):
        load_params(write(tmp_path, params))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; a profile is a folder with a params.yaml"),
        (b"profile: [", "not YAML"),
        (b"", "valid dictionary"),
        (b"just words", "valid dictionary"),
        (b"\xff\xfe\xfa", "not YAML"),
    ],
)
def test_a_file_that_holds_no_parameters(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(GenasError, match=message) as caught:
        load_params(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'params.yaml'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("profile: tiny\nprofile: other\n", "not YAML .key profile is given twice, line 1 on"),
        ("rows:\n  a: {width: 1, width: 2}\n", "key width is given twice"),
        ("profile: !!python/object/apply:os.system ['touch harm']\n", "not YAML .could not determine a constructor"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(12)
        ), "more than 100000 values"),
        ("a: &a [*a]\n", "more than 100000 values"),
        ("a: " + "[" * 5000 + "]" * 5000, "not YAML"),
        ("# " + "x" * 2**20, "larger than 1048576 bytes"),
    ],
    ids=["twice", "twice inside", "a tag", "a bomb", "itself", "deep", "large"],
)  # fmt: skip
def test_yaml_that_means_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(GenasError, match=message) as caught:
        load_params(tmp_path)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    """DVC follows YAML 1.2, in which neither a dot nor a sign is needed."""
    (tmp_path / "numbers.yaml").write_text("[1e-3, 6.0e8, 1.5E+2, -2e1, 7, 1.0, '1e3', v1e3]")
    assert read_yaml(tmp_path / "numbers.yaml") == [1e-3, 6e8, 150.0, -20.0, 7, 1.0, "1e3", "v1e3"]


def test_merged_keys_lie_beneath_those_that_are_given(tmp_path: Path) -> None:
    (tmp_path / "rows.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert read_yaml(tmp_path / "rows.yaml")["b"] == {"x": 1, "y": 3}


def test_parameters_cannot_be_changed() -> None:
    params = Params.model_validate(tiny_params())
    with pytest.raises(ValidationError, match="frozen"):
        params.supernet["small"].epochs = 3


def test_profiles_by_name_and_by_path(tmp_path: Path) -> None:
    assert profile_folder("demo") == PROFILES["demo"].resolve()
    assert profile_folder("paper") == REPOSITORY
    assert profile_folder(str(write(tmp_path, tiny_params()))) == tmp_path.resolve()
    with pytest.raises(GenasError, match=r"'dmeo', expected demo, mini, laboratory, official, paper.* or a folder"):
        profile_folder("dmeo")


def test_a_profile_of_ones_own_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("genas.pipeline.config.places.REPOSITORY", tmp_path)
    for name in ("mine", "demo", "unfinished"):
        (tmp_path / "profiles" / name).mkdir(parents=True)
    write(tmp_path / "profiles" / "mine", tiny_params())
    write(tmp_path / "profiles" / "demo", tiny_params())
    assert profile_folder("mine") == tmp_path.resolve() / "profiles" / "mine"
    assert list(profiles()) == [*PROFILES, "mine"]
    assert profile_folder("demo") == PROFILES["demo"].resolve()


def test_measures_are_found_in_their_folder_the_paper_s_first(tmp_path: Path) -> None:
    for name in ("zest", "angle", "__init__", "flatness", "mine"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "notes.md").touch()
    assert measures_in(tmp_path) == ("flatness", "angle", "mine", "zest")
    assert {"flatness", "angle", "accuracy", "loss", "params", "macs", "synflow", "snip", "naswot"} < set(MEASURES)


def test_the_data_root_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENAS_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.setenv("GENAS_DATA", "~/sets")
    assert data_root() == Path.home() / "sets"
    monkeypatch.delenv("GENAS_DATA")
    assert data_root() in (REPOSITORY.parent / "shared" / "data", REPOSITORY / "data")


def test_the_stem_of_imagenet_halves_the_channels() -> None:
    small = tiny_params()["supernet"]["small"]
    assert SupernetParams.model_validate(small | {"channels": 3}).channels == 3
    with pytest.raises(ValidationError, match="channels: 3, expected an even number"):
        SupernetParams.model_validate(small | {"channels": 3, "stem": "imagenet"})
