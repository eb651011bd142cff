"""The command line. It holds no parameter that changes a result: those are in ``params.yaml``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from genas.benchmarks.cli import app as bench_app
from genas.flows.commands.data import app as data_app
from genas.flows.commands.init import init
from genas.flows.commands.options import JOBS, Jobs, Port, Profile, Wait
from genas.flows.commands.site import site
from genas.flows.processes.children import StageError
from genas.flows.run import checked, conclude, console, execute
from genas.models.errors import GenasError

# Everything else is imported where it is used: `genas --help` answers at once.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
track_app = typer.Typer(no_args_is_help=True, help="The tracking database.")
app.add_typer(data_app, name="data")
app.add_typer(track_app, name="track")
app.add_typer(bench_app, name="bench")
app.command()(init)
app.command()(site)


def say_version(asked: bool) -> None:
    """``genas --version``: the package's, and the commit of a checkout."""
    if asked:
        from genas.flows.version import VERSION

        typer.echo(f"genas {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=say_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """GeNAS as one pipeline: search, retrain, transfer."""


@app.command()
def demo(jobs: Jobs = JOBS, wait: Wait = False) -> None:
    """Run the whole chain on small embedded data, then print its results."""
    from genas.pipeline.config import profiles

    if "demo" not in profiles():  # only the package is installed
        init("demo")
    execute("demo", (), jobs, wait)
    results("demo")
    conclude("demo")


@app.command()
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[TARGET]...", help="Stages or rows; none: everything.")
    ] = None,
    profile: Profile = "demo",
    jobs: Jobs = JOBS,
    wait: Wait = False,
) -> None:
    """Bring a profile up to date: the targets, and all that they depend on."""
    execute(profile, tuple(targets or ()), jobs, wait)
    conclude(profile)


@app.command()
def plan(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[TARGET]...", help="Stages or rows; none: everything.")
    ] = None,
    profile: Profile = "demo",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that take a row each.")] = 1,
    jobs: Jobs = JOBS,
    device: Annotated[str, typer.Option(help="A GPU by its published figures, such as H100; else this machine.")] = "",
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Measure this machine anew.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Rows that have run, beside what they took.")] = False,
    stages: Annotated[bool, typer.Option("--stages", help="A line for each stage instead of each row.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what a run would cost, before it starts: work, time, memory, disk, downloads."""
    from genas.flows.estimate import Question, estimate

    estimate(Question(profile, tuple(targets or ()), gpus, jobs, device, calibrate, compare), stages, as_json)


@app.command()
def results(profile: Profile = "demo", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Print what has been measured so far."""
    import json

    from genas.pipeline.config import load_params
    from genas.pipeline.results import terminal
    from genas.pipeline.results.board import collect

    root = checked(profile)
    rows = collect(root)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        terminal.show(rows, console(), load_params(root))


@app.command()
def report(profile: Profile = "demo") -> None:
    """Write the report from the metrics that are there."""
    from genas.pipeline.report import stage as page

    typer.echo(page.build(checked(profile)))


@app.command()
def zoo(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the published cells: where each comes from, what its network costs, what the paper prints."""
    import json

    from genas.models.networks.published import zoo_table
    from genas.pipeline.results import terminal

    if as_json:
        typer.echo(json.dumps(zoo_table(), indent=1))
    else:
        terminal.show_zoo(zoo_table(), console())


@app.command()
def width(
    cell: Annotated[str, typer.Argument(help="A row of the zoo, or a genotype.json.")],
    macs: Annotated[float | None, typer.Option(help="Budget of multiply-adds, such as 6e8.")] = None,
    params: Annotated[float | None, typer.Option(help="Budget of parameters.")] = None,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Pixels of the image.")] = 224,
    layers: Annotated[int, typer.Option(min=3, max=100)] = 14,
    classes: Annotated[int, typer.Option(min=1, max=100_000)] = 1000,
) -> None:
    """Find the even width that brings a cell's network nearest to a budget."""
    from genas.models.networks.published import zoo_genotype
    from genas.models.spaces.darts.cost import fit_width, network_cost
    from genas.models.spaces.darts.genotype import Genotype

    genotype = Genotype.load(Path(cell)) if cell.endswith(".json") else zoo_genotype(cell)
    shape = {"layers": layers, "num_classes": classes}
    found = fit_width(genotype, macs, params, size, **shape)
    cost = network_cost(genotype, size, width=found, **shape)
    typer.echo(f"{found} ({cost.macs} multiply-adds, {cost.params} parameters)")


@app.command()
def export(
    row: Annotated[str, typer.Argument(help="A retrained row.")],
    profile: Profile = "demo",
    to: Annotated[Path | None, typer.Option(help="The folder; by default out/export/ROW of the profile.")] = None,
) -> None:
    """Write a retrained row as a folder for timm, ONNX and torch.export, with a model card."""
    from genas.pipeline.export.folder import export as write

    typer.echo(write(checked(profile), row, to))


@app.command()
def parity(folder: Path) -> None:
    """Compare our measures with numbers that the official code computed; print JSON, exit 1 where they differ."""
    import json

    import torch

    from genas.benchmarks.parity import parity as compare
    from genas.pipeline.config import data_root

    torch.set_num_threads(1)
    found = compare(folder, data_root() / "cifar10")
    typer.echo(json.dumps(found, indent=1))
    raise typer.Exit(0 if all(quantity["ok"] for quantity in found.values()) else 1)


@app.command()
def serve(
    profile: Profile = "demo",
    cron: Annotated[str | None, typer.Option(help='When to refresh, for example "0 3 * * *".')] = None,
    jobs: Jobs = JOBS,
    port: Port = 4200,
) -> None:
    """Serve every flow of a profile, and refresh it on a schedule or when its data changes."""
    from genas.flows import environment

    environment.for_prefect(console=True)
    from genas.flows.service.deployments import serve as serve_flows

    serve_flows(str(checked(profile)) if os.path.exists(profile) else profile, jobs, cron, port)


@app.command()
def worker(
    pool: Annotated[str, typer.Argument(help="The work pool, made if need be.")],
    limit: Annotated[int, typer.Option(min=1, help="How many stages run here at once.")] = 1,
) -> None:
    """Run stages in this clone for runs elsewhere that have GENAS_POOL set to the pool."""
    from genas.flows import environment

    environment.for_prefect(console=True)
    from genas.flows.machines.worker import work

    work(pool, limit)


@track_app.command("rebuild")
def track_rebuild(profile: Profile = "demo") -> None:
    """Rebuild the tracking database from the metrics that DVC keeps."""
    from genas.pipeline.tracking.board import rebuild

    rebuild(checked(profile))


@track_app.command("ui")
def track_ui(port: Port = 5000) -> None:
    """Serve the tracking database of all profiles to the browser."""
    from genas.flows import environment
    from genas.flows.service.ports import HOST, require_free
    from genas.pipeline.tracking.board import links
    from genas.pipeline.tracking.mlflow import uri

    require_free(port)
    for name, link in links(f"http://{HOST}:{port}").items():
        typer.echo(f"{name}\n  {link}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    # Not among the arguments, which everybody on this machine can read: it may hold a password.
    surroundings = environment.of_children(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_BACKEND_STORE_URI=uri())
    os.execve(sys.executable, command, surroundings)


@app.command()
def doctor(
    profile: Profile = "demo",
    on_gpu: Annotated[bool, typer.Option("--gpu", help="Compare every kind of step with the CPU: minutes.")] = False,
) -> None:
    """Look whether everything is here that a profile needs, or whether the GPU computes what the CPU does."""
    from genas.flows.commands.doctor import examine, gpu
    from genas.pipeline.config import profile_folder

    lacking = 0
    for finding in gpu() if on_gpu else examine(profile_folder(profile)):
        sign = "ok  " if finding.ok else "FAIL" if finding.essential else "warn"
        typer.echo(f"{sign} {finding.name}: {finding.message}")
        lacking += finding.essential and not finding.ok
    raise typer.Exit(1 if lacking else 0)


def stopped(number: int, frame: Any) -> None:
    """On SIGTERM: leave through every ``finally``."""
    sys.exit(128 + number)


def main() -> int:
    """The entry point; exit status 0, 2 for a user's error, 130 when interrupted; 1 for a failed stage or check, and
    for what nobody expected."""
    from genas.flows import environment

    environment.apply(environment.QUIET)
    signal.signal(signal.SIGTERM, stopped)
    try:
        return int(app(standalone_mode=False) or 0)
    except TyperException as error:  # wrong arguments; none at all: the help has been printed
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if message:
            print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return 2
    except (GenasError, StageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, GenasError) else 1
    except Exception as error:
        from genas.pipeline.machine.failure import explain

        here = Path.cwd()
        print(f"error: {explain(error, here if (here / 'params.yaml').exists() else None, 'genas')}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
