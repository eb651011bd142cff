"""Whether a scan would leave what lies there already, found in this process and without writing anything.

DVC runs scans every time, each in a process of its own. Where a look finds what the scan has recorded, the scan need
not run. Whatever a look does not know, or stumbles over, counts as changed: the scan then runs, and tells.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from genas.pipeline.__main__ import parse
from genas.pipeline.config import load_params
from genas.pipeline.context import Context

PIPELINE = "python -m genas.pipeline "
"""How the command of a stage of ours begins."""


def settled(folder: Path, command: str) -> bool:
    """Whether a scan has nothing to record in the profile in ``folder``.

    Args:
        folder: the profile's folder.
        command: the scan's, as ``dvc.yaml`` says it.
    """
    try:
        if not command.startswith(PIPELINE):
            return False
        stage, axes = parse(command.removeprefix(PIPELINE).split())
        return LOOKS[stage](Context(stage, axes, load_params(folder), folder))
    except Exception:  # what is wrong is told by the scan
        return False


def same_data(context: Context) -> bool:
    """Whether a data set is the one of its manifest: digest, counts, classes, what it was derived from."""
    from genas.pipeline.data import derive
    from genas.pipeline.data.reading.layouts import dataset_root, digest_of, index_of
    from genas.pipeline.data.reading.manifest import MANIFEST
    from genas.pipeline.data.stage import manifest_of

    name = context.axes["dataset"]
    spec, root, index = context.params.data[name], dataset_root(context, name), index_of(context, name)
    recorded = json.loads((context.out / MANIFEST).read_text())
    digest = digest_of(root, spec.digest)
    if recorded["digest"] != digest:
        return False
    found = manifest_of(name, spec, root, index, digest, looked_at=digest)
    if spec.derive is not None:
        found["origin"] = derive.fingerprint(context, spec)
    return bool(recorded == found)


def same_measures(context: Context) -> bool:
    """Whether the rows take the measures, of the code, that are recorded: the stage runs where nobody reads."""
    from genas.pipeline.scoring import code

    with tempfile.TemporaryDirectory() as place:
        elsewhere = Context(context.stage, context.axes, context.params, Path(place))
        code.run(elsewhere)
        folders = [path.name for path in (elsewhere.root / "out").iterdir()]
        return contents(elsewhere.out) == contents(context.out) and all(
            (context.root / "out" / name).is_dir() for name in folders
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LOOKS: dict[str, Callable[[Context], bool]] = {"data": same_data, "measures": same_measures}
"""For each scan."""
