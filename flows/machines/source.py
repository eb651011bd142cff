"""What a run is a run of: the code, the graph and the parameters, so that two clones can tell whether theirs agree.

Compared is content, not history: a commit that changes only the documentation does no harm, and an edit that is not
committed is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from genas.flows.version import commit
from genas.models.errors import GenasError
from genas.pipeline.config import CODE, LAYOUTS, MEASURES, REPOSITORY, Params, load_params, offered, profile_folder
from genas.pipeline.machine.imports import BESIDE, FOLDERS, closure
from genas.pipeline.machine.imports import located as located_file
from genas.pipeline.stages import STAGES

COMMIT = "commit"
"""The key of the commit in a source, which is there for the message alone."""


def source(folder: Path) -> dict[str, str]:
    """The commit, and a digest of every file that decides about the results of the profile in ``folder``."""
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in files(folder)}
    return {COMMIT: commit() or "none", **digests}


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Those files, each with a name that is the same in every clone."""
    for name in ("dvc.yaml", "params.yaml"):
        yield f"the profile's {name}", folder / name
    for package in FOLDERS:
        for path in sorted((CODE / package).rglob("*")):
            if path.suffix in (".py", *BESIDE):
                yield str(path.relative_to(CODE)), path
    brought = {file for module in _installed(load_params(folder)) for file in closure(module, computed=False)}
    for file in sorted(file for file in brought if file.parts[0] not in FOLDERS):
        yield f"the installed {file}", located_file(file)


def _installed(params: Params) -> Iterator[str]:
    """The modules that installed packages offer and the profile uses: measures, layouts of data sets."""
    taken = [one.measures(params, axes) for one in STAGES.values() for axes in one.rows(params).values()]
    for name in {name for names in taken for name in names} - set(MEASURES):
        yield offered("measures")[name]
    for name in {data.layout for data in params.data.values()} - set(LAYOUTS):
        yield offered("layouts")[name]


def require_same(wanted: Mapping[str, str], folder: Path) -> None:
    """Return if this clone holds the source that is wanted.

    Raises:
        GenasError: it does not; names a file and both commits.
    """
    here = source(folder)
    different = [name for name in {**wanted, **here} if name != COMMIT and wanted.get(name) != here.get(name)]
    if different:
        more = f" and {len(different) - 1} more differ" if different[1:] else " differs"
        commits = f"{here[COMMIT]} here, {wanted[COMMIT]} there"
        raise GenasError(
            f"{different[0]}{more} from the coordinator's (commit {commits}): bring both clones to the same commit, "
            "with nothing changed that is not committed"
        )


def portable(folder: Path) -> str:
    """The profile in ``folder`` by its path inside the repository, which every clone understands.

    Raises:
        GenasError: it is outside.
    """
    if not folder.is_relative_to(REPOSITORY):
        raise GenasError(f"{folder} is outside the repository: other machines have only what is in it")
    return folder.relative_to(REPOSITORY).as_posix()


def located(profile: str) -> Path:
    """The folder in this clone of what :func:`portable` names in another.

    Raises:
        GenasError: there is no such profile here.
    """
    return profile_folder(str(REPOSITORY / profile))
