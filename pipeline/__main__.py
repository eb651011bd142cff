"""Run one row of one stage: ``python -m genas.pipeline search dataset=cifar10 metric=flatness seed=0``.

This is what ``dvc.yaml`` calls, in a profile's folder. Around the stage's own ``run(context)`` it validates the
parameters, opens the tracking run, writes ``metrics.json`` and ``timing.json``, and turns every error into one line.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genas.models.errors import GenasError
from genas.pipeline.config import load_params
from genas.pipeline.machine.failure import explain, out_of_space
from genas.pipeline.machine.forked import hand_over, serve
from genas.pipeline.machine.lifetime import end_with_parent
from genas.pipeline.machine.memory import keep_memory
from genas.pipeline.stages import STAGES, rows_of

if TYPE_CHECKING:
    from genas.pipeline.context import Context


def parse(arguments: list[str]) -> tuple[str, dict[str, str]]:
    """``["search", "dataset=cifar10", ...]`` as a stage and its axes.

    Raises:
        GenasError: an unknown stage, or axes other than the stage's.
    """
    stage, *rest = arguments or [""]
    if stage not in STAGES:
        raise GenasError(f"unknown stage {stage!r}, expected one of {', '.join(STAGES)}")
    axes = dict(part.split("=", 1) for part in rest if "=" in part)
    wanted = STAGES[stage].axes
    if tuple(axes) != wanted or len(axes) != len(rest):
        raise GenasError(f"stage {stage} takes {' '.join(f'{axis}=...' for axis in wanted) or 'no axes'}")
    return stage, axes


def run(stage: str, axes: dict[str, str], root: Path) -> None:
    """Run one row in the profile folder ``root``, leaving what it made in ``out/<stage>/<row>``."""
    params = load_params(root)
    row, rows = "-".join(axes.values()), rows_of(params, stage)
    if row not in rows:
        raise GenasError(f"stage {stage} has no row {row!r}, params.yaml defines {', '.join(rows)}")

    from genas.pipeline.context import Context, silent
    from genas.pipeline.machine import distributed
    from genas.pipeline.tracking.live import follow

    distributed.launch(stage, axes)
    module = importlib.import_module(STAGES[stage].module)
    with distributed.joined(), ExitStack() as stack:
        first = distributed.leader()
        log = stack.enter_context(follow(stage, axes, params, root)) if first else silent
        context = Context(stage, axes, params, root, log)
        context.out.mkdir(parents=True, exist_ok=True)
        started = time.time()
        try:
            metrics = module.run(context)
            if first:
                leave(context, metrics, time.time() - started)
        except Exception as error:
            if first and out_of_space(error):  # a file that is cut off must not pass for an output
                shutil.rmtree(context.out, ignore_errors=True)
            raise


def leave(context: Context, metrics: dict[str, Any] | None, seconds: float) -> None:
    """Write ``metrics.json``, and ``timing.json`` for all stages but scans: how long the row took, in this sitting and
    in those that were killed."""
    if metrics is not None:
        (context.out / "metrics.json").write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    if not STAGES[context.stage].scan:
        device = str(context.device) if "torch" in sys.modules else "cpu"  # its import alone takes two seconds
        whole = seconds + float(context.notes.get("earlier", 0))
        timing = {"seconds": round(whole, 1), "device": device, **context.notes}
        (context.out / "timing.json").write_text(json.dumps(timing) + "\n")


def main() -> int:
    """The entry point; returns the exit status: 0, 2 for a user's error, 1 for any other, 130 or 143 when stopped.

    ``--preloaded SOCKET`` in the place of a row: be the process that rows are forked from.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    keep_memory()
    # Detectron2 and timm use torch.jit.script at import; torch announces its end.
    warnings.filterwarnings("ignore", message=r".*torch\.jit.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=r".*torch\.jit.*", category=DeprecationWarning)
    # Of several processes, weights whose gradient lies otherwise in memory, such as those of depthwise convolutions.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides", category=UserWarning)
    if sys.argv[1:2] == ["--preloaded"]:
        import timm  # with torch and torchvision, of which nearly every row needs some

        assert timm
        if not serve(Path(sys.argv[2])):
            return 0
    elif (status := hand_over(sys.argv[1:])) is not None:
        return status
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    end_with_parent()
    root, name = Path.cwd(), "pipeline"
    try:
        stage, axes = parse(sys.argv[1:])
        name = "-".join([stage, *axes.values()])
        run(stage, axes, root)
    except GenasError as error:
        # A loader's worker process hands its error over with a traceback before the message.
        print(f"error: {str(error).strip().rpartition('GenasError: ')[2]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        print(f"error: {explain(error, root, name)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
