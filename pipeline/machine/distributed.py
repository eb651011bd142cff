"""Several processes that train one row together, a GPU each: how they are started and find each other.

``GENAS_PROCESSES=8`` lets a stage that can (:mod:`genas.pipeline.stages`) start itself under ``torchrun``; ``torchrun
-m genas.pipeline supernet ...`` does the same by hand, over several machines if need be. Everything is written by the
first process, and of a mistake one process tells. What they then do together is in
:mod:`genas.pipeline.machine.data_parallel`; torch is imported only where there are several, since every stage begins
here.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from genas.models.errors import GenasError
from genas.pipeline.context import chosen_device
from genas.pipeline.stages import STAGES

MOST = 1024
"""More processes than any machine that is meant."""


def launch(stage: str, axes: Mapping[str, str]) -> None:
    """Run a row in the processes that ``GENAS_PROCESSES`` asks for and end with their exit status; return where it asks
    for none, or where this is one of them.

    Raises:
        GenasError: no number of processes, or more of them than GPUs.
    """
    asked = os.environ.get("GENAS_PROCESSES") or "1"
    if not asked.isdecimal() or not 1 <= int(asked) <= MOST:
        raise GenasError(f"GENAS_PROCESSES is {asked!r}, expected a number of processes, 1 to {MOST}")
    if int(asked) == 1 or not STAGES[stage].processes or "RANK" in os.environ:
        return
    import torch

    gpus = torch.cuda.device_count()
    if chosen_device().type == "cuda" and int(asked) > gpus:
        raise GenasError(f"GENAS_PROCESSES is {asked}, but this machine has {gpus} GPUs")
    row = [stage, *(f"{axis}={value}" for axis, value in axes.items())]
    sys.exit(_torchrun(["--standalone", f"--nproc-per-node={asked}", "-m", "genas.pipeline", *row]))


def _torchrun(arguments: list[str]) -> int:
    """``torchrun`` in this process, without its own report of a failure; the exit status of what failed first, or 0."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.CRITICAL)  # what failed has said so itself
    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        print(f"error: process {number} was ended by {failure.signal_name()}", file=sys.stderr)
        return 128 - int(failure.exitcode)
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    return 0


@contextmanager
def joined() -> Iterator[None]:
    """Join the other processes that ``torchrun`` started, if it did, each with a GPU of its own where there are any.

    Detectron2 and MMEngine find the group that is joined here. Where something goes wrong, the first process to meet
    it raises it; the others, which meet the same or miss the first one, end with the same status and say nothing.
    """
    if "RANK" not in os.environ:
        yield
        return
    import torch
    import torch.distributed as dist

    cuda = chosen_device().type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    except Exception as error:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(*place, is_master=False)  # type: ignore[attr-defined]  # exported, not declared so
        if store.add("genas/failed", 1) > 1:
            sys.exit(int(store.get("genas/status")))
        store.set("genas/status", "2" if isinstance(error, GenasError) else "1")
        raise
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, from 0."""
    if "RANK" not in os.environ:
        return 0
    import torch.distributed as dist

    return dist.get_rank() if dist.is_initialized() else 0


def leader() -> bool:
    """Whether this process writes what the others leave to it."""
    return rank() == 0


def size() -> int:
    """How many processes train together."""
    if "RANK" not in os.environ:
        return 1
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_initialized() else 1
