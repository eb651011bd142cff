"""Environment variables: numbers, devices, clusters and servers that are not there, passwords that nobody may see."""

from __future__ import annotations

from tests.faults.families.tables import change
from tests.faults.judging import NOTHING, SECRET, Case, Place

SUPERNET = "pipeline supernet dataset=small seed=0"
ZOO = "pipeline zoo row=darts_v2_c10"
SEARCH = "pipeline search dataset=small metric=angle seed=0"
ACCOUNT = f"me:{SECRET}"
RUN = "genas run supernet@a-0 --profile {root}"


def stale(place: Place) -> None:
    """Something for a run of the toy profile to do."""
    (place.root / "out/supernet/a-0/metrics.json").unlink()


def numbers() -> list[Case]:
    workers = ("abc", "0", "-1", "1.5", "1e3", "99999", " 2")
    devices = ("cuda", "cuda:0", "cuda:7", "gpu", "mps", "meta", "cpu:x", "cuda:-1", "тест")
    executors = ("nothing", "os:no_such", "os:getcwd", ":")
    cases = []
    for name, call, template, values, line in (
        ("GENAS_WORKERS", SEARCH, "trained", workers, "expected a number of processes"),
        ("GENAS_PROCESSES", SUPERNET, "plain", ("abc", "0", "-1", "1.5", "9" * 30), "expected a number of processes"),
        ("GENAS_DEVICE", SUPERNET, "plain", devices, "GENAS_DEVICE is "),
        ("GENAS_EXECUTOR", SEARCH, "trained", executors, "GENAS_EXECUTOR"),
    ):
        cases += [Case(f"{name}={value[:20]}", template, call, line, environment={name: value}) for value in values]
    for name, call, template in (("GENAS_WORKERS", SEARCH, "trained"), ("GENAS_DEVICE", SUPERNET, "plain")):
        cases.append(Case(f"{name} is empty", template, call, None, environment={name: ""}))
    for name, value in (
        ("GENAS_PROCESSES", "1"),
        ("GENAS_EXECUTOR", ""),
        ("GENAS_PARENT", "abc"),
        ("GENAS_PARENT", ""),
        ("GENAS_CLUSTER", "tcp://nobody:1"),
        ("GENAS_TRACEBACK", "1"),
    ):
        cases.append(Case(f"{name}={value}, which asks for nothing", "plain", ZOO, None, environment={name: value}))
    mistake = {"environment": {"GENAS_TRACEBACK": "1"}}
    cases.append(Case("GENAS_TRACEBACK=1 of a mistake", "plain", "pipeline serch", "unknown stage 'serch'", **mistake))
    return cases


def clusters() -> list[Case]:
    """Addresses at which nothing answers, or that are none."""
    cases = []
    for kind, package, addresses in (
        ("dask", "distributed", (f"tcp://{ACCOUNT}@127.0.0.1:1", "nonsense://", "127.0.0.1:1", "tcp://[::1", "a b")),
        ("ray", "ray", (f"ray://{ACCOUNT}@127.0.0.1:1", "127.0.0.1:1", "nonsense://", "a b")),
    ):
        for address in addresses:
            where = {"GENAS_EXECUTOR": f"genas.pipeline.machine.clusters:{kind}", "GENAS_CLUSTER": address}
            shown = address.replace(ACCOUNT, "ACCOUNT")
            line = rf"^GENAS_CLUSTER=.*: no {package} cluster answers \("
            cases.append(Case(f"{kind} at {shown}", "trained", SEARCH, line, environment=where))
    return cases


def servers() -> list[Case]:
    """MLflow and Prefect."""
    cases = []
    on = {"GENAS_MLFLOW": ""}
    dead = f"http://{ACCOUNT}@127.0.0.1:9"
    for uri in (
        dead,
        "sqlite:////nowhere/at/all/m.db",
        "nonsense://x",
        f"http://h/?token={SECRET}",
    ):
        shown, where = uri.replace(ACCOUNT, "ACCOUNT").replace(SECRET, "SECRET"), {**on, "MLFLOW_TRACKING_URI": uri}
        warning = "^warning: MLflow at .* is left out: "
        cases.append(Case(f"MLflow, live: {shown}", "plain", ZOO, None, environment=where, warning=warning))
        rebuild = "genas track rebuild --profile {root}"
        cases.append(Case(f"MLflow, rebuilt: {shown}", "finished", rebuild, "^MLflow at ", environment=where))
    for value in ("off", "OFF"):
        where = {"GENAS_MLFLOW": value, "MLFLOW_TRACKING_URI": dead}
        cases.append(
            Case(f"GENAS_MLFLOW={value} and a dead server", "plain", ZOO, None, environment=where, warning=NOTHING)
        )
    changed = "genas data changed small --profile {root}"
    for url in (f"http://{ACCOUNT}@127.0.0.1:9/api", "nonsense", "ftp://127.0.0.1/api"):
        shown, where = url.replace(ACCOUNT, "ACCOUNT"), {"PREFECT_API_URL": url}
        line = "no Prefect server answers at "
        cases.append(Case(f"Prefect, news: {shown}", "plain", changed, line, environment=where))
        cases.append(Case(f"Prefect, run: {shown}", "toy", RUN, line, stale, environment=where))
    where = {"PREFECT_API_URL": f"http://{ACCOUNT}@127.0.0.1:9/api"}
    cases.append(
        Case(
            "Prefect, serve", "toy", "genas serve --profile {root}", "no Prefect server answers at ", environment=where
        )
    )
    pool = "GENAS_POOL=gpus needs PREFECT_API_URL"
    cases.append(Case("a pool without a server", "toy", RUN, pool, stale, environment={"GENAS_POOL": "gpus"}))
    return cases


def paths() -> list[Case]:
    """Places that are not there."""
    data = "pipeline data dataset=small"
    moved = change("data", small__path="small")
    return [
        Case(
            "GENAS_DATA leads nowhere",
            "plain",
            data,
            r"train\.parquet is missing",
            environment={"GENAS_DATA": "{folder}/nowhere"},
        ),
        Case(
            "GENAS_DATA is a file",
            "plain",
            data,
            r"train\.parquet is missing",
            moved,
            {"GENAS_DATA": "{root}/params.yaml"},
        ),
        Case(
            "GENAS_DATA has a zero", "plain", data, r"train\.parquet is missing", environment={"GENAS_DATA": "no\tsuch"}
        ),
        Case("TMPDIR leads nowhere", "plain", data, None, environment={"TMPDIR": "{folder}/nowhere"}),
        Case("no HOME", "plain", data, None, environment={"HOME": "{folder}/nowhere"}),
        Case("an ASCII terminal", "plain", "genas zoo", None, environment={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}),
    ]


CASES = {
    "environment: numbers, devices, executors": [*numbers(), *paths()],
    "environment: clusters": clusters(),
    "environment: MLflow and Prefect": servers(),
}
