"""Executors for clusters, to be named by ``GENAS_EXECUTOR``: ``pipeline.machine.clusters:dask``,
``pipeline.machine.clusters:ray``.

``GENAS_CLUSTER`` is the address of a running cluster; without it one starts on this machine, with ``GENAS_WORKERS``
processes. Workers need this project installed and the profile's folder under the same path. Both frameworks replace
workers that die and run their tasks again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

RETRIES = 3
"""How often a task may lose its worker."""


def _workers() -> int:
    return int(os.environ.get("GENAS_WORKERS") or 1)


def dask() -> Any:
    """A Dask client's executor."""
    from distributed import Client, LocalCluster

    address = os.environ.get("GENAS_CLUSTER")
    cluster = address or LocalCluster(n_workers=_workers(), threads_per_worker=1, dashboard_address=None)
    return Client(cluster).get_executor(pure=False, retries=RETRIES)


class RayExecutor:
    """``map`` over Ray tasks, one CPU each, and one GPU where ``GENAS_DEVICE`` is ``cuda``."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """The function's results, in the order of the items."""
        import ray

        gpus = 1 if os.environ.get("GENAS_DEVICE", "").startswith("cuda") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(lambda item: function(item))
        return iter([ray.get(one) for one in [task.remote(item) for item in items]])


def ray() -> RayExecutor:
    """Ray's tasks as an executor."""
    import ray as framework

    if not framework.is_initialized():
        address = os.environ.get("GENAS_CLUSTER")
        cpus = None if address else _workers()
        framework.init(address, num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False)
    return RayExecutor()
