"""Executors for clusters, to be named by ``GENAS_EXECUTOR``: ``genas.pipeline.machine.clusters:dask``,
``genas.pipeline.machine.clusters:ray``.

``GENAS_CLUSTER`` is the address of a running cluster; without it one starts on this machine, with ``GENAS_WORKERS``
processes. Workers need this project installed and the profile's folder under the same path. Both frameworks replace
workers that die and run their tasks again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from genas.models.errors import GenasError
from genas.pipeline.machine.addresses import masked
from genas.pipeline.machine.workers import asked

ANSWER_SECONDS = 10
"""How long a Dask cluster may take to answer."""
RAY_SECONDS = 30
"""The same of a Ray cluster, with the import of Ray."""
RETRIES = 3
"""How often a task may lose its worker."""


@contextmanager
def _reached(package: str, address: str) -> Iterator[None]:
    """Around the import of a framework and its first word with the cluster at ``address``, empty for one of its own.

    Raises:
        GenasError: the package is missing, or no cluster answers there.
    """
    try:
        yield
    except ImportError as error:
        raise GenasError(f"GENAS_EXECUTOR: {package} does not import ({error}): pip install -e '.[cluster]'") from None
    except (OSError, ValueError, RuntimeError) as error:
        if not address:
            raise
        said = " ".join(masked(error).split())[:300]
        raise GenasError(f"GENAS_CLUSTER={masked(address)}: no {package} cluster answers ({said})") from None


def dask() -> Any:
    """A Dask client's executor.

    Raises:
        GenasError: Dask is not installed, or nothing answers at ``GENAS_CLUSTER`` within :data:`ANSWER_SECONDS`.
    """
    address = os.environ.get("GENAS_CLUSTER") or ""
    with _reached("distributed", address):
        from distributed import Client, LocalCluster

        cluster = address or LocalCluster(n_workers=asked(), threads_per_worker=1, dashboard_address=None)
        return Client(cluster, timeout=ANSWER_SECONDS).get_executor(pure=False, retries=RETRIES)


class RayExecutor:
    """``map`` over Ray tasks, one CPU each, and one GPU where ``GENAS_DEVICE`` is ``cuda``."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """The function's results, in the order of the items."""
        import ray

        gpus = 1 if os.environ.get("GENAS_DEVICE", "").startswith("cuda") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(lambda item: function(item))
        return iter([ray.get(one) for one in [task.remote(item) for item in items]])


def _ask_ray() -> None:
    """Return if a Ray cluster answers at ``GENAS_CLUSTER``. Ray itself tries for ever, and says so at length on the
    standard error of the process: so another one asks, which an alarm ends.

    Raises:
        RuntimeError: none answers, with the last of what Ray said.
    """
    ask = f"import os, signal; signal.alarm({RAY_SECONDS}); import ray; ray.init(os.environ['GENAS_CLUSTER'])"
    asked = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, errors="replace", check=False)
    if asked.returncode == -signal.SIGALRM:
        raise RuntimeError(f"none within {RAY_SECONDS} s")
    if asked.returncode != 0:
        raise RuntimeError((asked.stderr.splitlines() or [f"exit status {asked.returncode}"])[-1])


def ray() -> RayExecutor:
    """Ray's tasks as an executor.

    Raises:
        GenasError: Ray is not installed, or nothing answers at ``GENAS_CLUSTER`` within :data:`RAY_SECONDS`.
    """
    address = os.environ.get("GENAS_CLUSTER") or ""
    with _reached("ray", address):
        import ray as framework

        if not framework.is_initialized():
            if address:
                _ask_ray()
            quiet = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
            framework.init(address or None, num_cpus=None if address else asked(), **quiet)
    return RayExecutor()
