"""``genas bench``: speed as ratios, measured side by side in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

# The benchmarks themselves are imported where they are run: `genas --help` answers at once.

app = typer.Typer(no_args_is_help=True, help="How fast this project is here, as ratios measured side by side.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quick = Annotated[bool, typer.Option("--quick", help="Smaller, in under 50 s.")]


def placed(result: dict[str, Any]) -> dict[str, Any]:
    """The result and the instruction set that it was measured with, without which no two can be compared."""
    from genas.pipeline.machine.processor import instruction_set

    return {**result, "instruction_set": instruction_set()}


def show(result: dict[str, Any], as_json: bool) -> None:
    """The result as JSON, or its ratio as a sentence and the rest as a list."""
    result = placed(result)
    if as_json:
        typer.echo(json.dumps(result))
        return
    ratio = result.pop("ratio")
    typer.echo(f"{ratio['median']:.2f} times as fast (minimum {ratio['min']:.2f}, maximum {ratio['max']:.2f})")
    for name, value in result.items():
        typer.echo(f"  {name.replace('_', ' ')}: {value}")


@app.command()
def score(
    as_json: AsJson = False,
    quick: Quick = False,
    scorer: Annotated[str, typer.Option(help="plain, fast or native; else the quickest here.")] = "",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    space: Annotated[str, typer.Option(help="darts, or nasbench201: against our scorer fast.")] = "darts",
) -> None:
    """Score candidates by flatness: ours against the official way of doing it, at equal scores."""
    from genas.benchmarks import score as benchmark

    show(benchmark.run(quick, scorer, precision, space), as_json)


@app.command()
def supernet(as_json: AsJson = False, quick: Quick = False) -> None:
    """Train the supernet for some steps: ours against the official way of doing it."""
    from genas.benchmarks import supernet as benchmark

    show(benchmark.run(quick), as_json)


@app.command()
def network(
    as_json: AsJson = False,
    quick: Quick = False,
    output_stride: Annotated[int, typer.Option(help="32, or 8 and 16 as in segmentation.")] = 32,
) -> None:
    """Train a cell's network for some steps: by quick gradients and by the framework's."""
    from genas.benchmarks import network as benchmark

    show(benchmark.run(quick, output_stride), as_json)


@app.command()
def workers(
    as_json: AsJson = False, quick: Quick = False, count: Annotated[int, typer.Option(min=2, help="Processes.")] = 2
) -> None:
    """Score the same candidates on several processes and on one."""
    from genas.benchmarks import workers as benchmark

    show(benchmark.run(quick, count), as_json)


@app.command()
def early(
    profile: Annotated[str, typer.Option("--profile", "-p", help="One whose supernet is trained.")] = "demo",
    dataset: Annotated[str, typer.Option(help="The supernet's.")] = "digits",
    metric: Annotated[str, typer.Option(help="What the search maximises.")] = "flatness",
    orders: Annotated[int, typer.Option(min=1, help="Random orders of the images.")] = 100,
) -> None:
    """How often early decisions end with the best of a full search, and at what share of its cost; prints JSON."""
    from genas.benchmarks import early as benchmark
    from genas.pipeline.config import profile_folder

    typer.echo(json.dumps(placed(benchmark.run(profile_folder(profile), dataset, metric, orders)), indent=1))


@app.command()
def growth(picture: Annotated[Path | None, typer.Option(help="Where to draw it.")] = None) -> None:
    """How the cost of a score grows with images, sigmas and channels; prints JSON."""
    from genas.benchmarks import growth as benchmark

    typer.echo(json.dumps(placed(benchmark.run(picture)), indent=1))


@app.command()
def sensitivity(
    profile: Annotated[str, typer.Option("--profile", "-p", help="One whose supernet is trained.")] = "demo",
    dataset: Annotated[str, typer.Option(help="The supernet's.")] = "digits",
    architectures: Annotated[int, typer.Option(min=3, help="Random ones, the same under every setting.")] = 200,
    as_json: AsJson = False,
) -> None:
    """How much each slip of the released code changes the order of scores: a table of Kendall's tau."""
    from genas.benchmarks import sensitivity as benchmark
    from genas.pipeline.config import profile_folder

    result = placed(benchmark.run(profile_folder(profile), dataset, architectures))
    typer.echo(json.dumps(result) if as_json else benchmark.markdown(result))
