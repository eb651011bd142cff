"""Which files of this project can change what a module computes: its imports, followed as text.

Python's own tools follow imports into every library, and DVC follows none. What a stage imports is what ``dvc.yaml``
must list, what a half-done run must have been made with, and what makes a search measure another one.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from genas.pipeline.config import REPOSITORY
from genas.pipeline.stages import STAGES

FOLDERS = ("models", "pipeline")
NEUTRAL = (
    "models/errors.py",
    "pipeline/config",
    "pipeline/context.py",
    "pipeline/machine",
    "pipeline/stages",
)
"""What changes no number: it refuses, finds, starts, keeps and resumes. The exception is :data:`ARITHMETIC`."""
ARITHMETIC = ("pipeline/machine/data_parallel.py",)
"""Of the neutral packages, what computes."""


def file_of(module: str) -> Path | None:
    """A module's file, relative to the repository; None for what is no module of this project."""
    genas, *parts = module.split(".")
    path = Path(*parts)
    for candidate in (path.with_suffix(".py"), path / "__init__.py") if parts else ():
        if genas == "genas" and parts[0] in FOLDERS and (REPOSITORY / candidate).exists():
            return candidate
    return None


def module_of(file: Path) -> str:
    """What a file, relative to the repository, is imported as."""
    return ".".join(("genas", *file.with_suffix("").parts))


def closure(module: str, computed: bool = True) -> set[Path]:
    """The files that hold code and that a module can import, itself among them, without those of :data:`NEUTRAL`.

    Args:
        module: dotted.
        computed: whether a package that imports modules by computed names takes in all of its own.
    """
    reached: set[Path] = set()
    waiting = [module]
    while waiting:
        file = file_of(waiting.pop())
        if file is not None and file not in reached:
            reached.add(file)
            waiting += _imports(file, computed)
    return {file for file in reached if not neutral(file) and _holds_code(file)}


def neutral(file: Path) -> bool:
    """Whether a file, relative to the repository, changes no number."""
    return not covered(file, ARITHMETIC) and covered(file, NEUTRAL)


def covered(file: Path, places: Iterable[str]) -> bool:
    """Whether a file is one of some files or lies in one of some folders."""
    return any(Path(place) == file or Path(place) in file.parents for place in places)


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over files of the repository, their names, and the files of other kinds that lie beside them."""
    sha, code = hashlib.sha256(), set(files)
    for file in sorted(code.union(*map(_data_beside, code))):
        sha.update(f"{file}\0".encode())
        sha.update(hashlib.sha256((REPOSITORY / file).read_bytes()).digest())
    return sha.hexdigest()


@cache
def _holds_code(file: Path) -> bool:
    """Whether there is more in a file than a text about it."""
    content = ast.parse((REPOSITORY / file).read_text()).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in content)


def _data_beside(file: Path) -> Iterator[Path]:
    for path in (REPOSITORY / file).parent.iterdir():
        if path.suffix in (".c", ".h", ".json"):
            yield path.relative_to(REPOSITORY)


@cache
def _imports(file: Path, computed: bool) -> frozenset[str]:
    """The modules of this project that a file imports, functions included, and the packages around them."""
    names: set[str] = set()
    for node in _runs(ast.parse((REPOSITORY / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif computed and isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            siblings = (REPOSITORY / file).parent.glob("*.py")
            names |= {module_of(path.relative_to(REPOSITORY)) for path in siblings}
    ours = {name for name in names if file_of(name)}
    around = {".".join(name.split(".")[:i]) for name in ours for i in range(1, name.count(".") + 1)}
    return frozenset(ours | around)


def _runs(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of blocks for the type checker, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _runs(node)


def code_digest(stage: str) -> str:
    """SHA-256 over this project's source, as far as it can change what a stage computes."""
    return digest(closure(STAGES[stage].module))
