"""Which files can change what a module computes: its imports, followed as text.

Python's own tools follow imports into every library, and DVC follows none. What a stage imports is what ``dvc.yaml``
must list, what a half-done run must have been made with, and what makes a search measure another one. Imports are
followed inside this project; those of a module that an installed package offers inside that package, too.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import CODE, measure_module
from genas.pipeline.stages import STAGES

FOLDERS = ("models", "pipeline")
"""Those whose files a result can depend on."""
BESIDE = (".c", ".h", ".json")
"""Kinds of files beside modules on which these depend."""
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
    """A module's file, relative to the repository or to the folder that its package is installed in; None for what has
    no such file, and what is of this project but in neither of :data:`FOLDERS`."""
    path = Path(*module.removeprefix("genas.").split("."))
    if module == "genas" or (path.parts[0] in FOLDERS) != module.startswith("genas."):
        return None
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if located(candidate).exists():
            return candidate
    return None


def module_of(file: Path) -> str:
    """What such a file is imported as."""
    parts = file.with_suffix("").parts
    return ".".join((*("genas",) * (parts[0] in FOLDERS), *parts)).removesuffix(".__init__")


def located(file: Path) -> Path:
    """Where such a file lies."""
    return (CODE if file.parts[0] in FOLDERS else _installed(Path(file.parts[0]).stem)) / file


@cache
def _installed(package: str) -> Path:
    """The folder that a package, or a module that is none's, is installed in; it is not imported."""
    spec = importlib.util.find_spec(package)
    inside = [Path(place).parent for place in (spec and spec.submodule_search_locations) or ()]
    return (inside or [Path((spec and spec.origin) or ".").parent])[0]


def closure(module: str, computed: bool = True) -> set[Path]:
    """The files that hold code and that a module can import, itself among them, without those of :data:`NEUTRAL`.

    Args:
        module: dotted.
        computed: whether a package that imports modules by computed names takes in all of its own.

    Raises:
        GenasError: an installed package brings no source for the module.
    """
    if file_of(module) is None:
        raise GenasError(f"{module}: no source file of this module is found, on which rows could depend")
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
    """SHA-256 over files, their names, and the files of other kinds that lie beside them."""
    sha, code = hashlib.sha256(), set(files)
    for file in sorted(code.union(*map(_data_beside, code))):
        sha.update(f"{file}\0".encode())
        sha.update(hashlib.sha256(located(file).read_bytes()).digest())
    return sha.hexdigest()


@cache
def _holds_code(file: Path) -> bool:
    """Whether there is more in a file than a text about it."""
    content = ast.parse(located(file).read_text()).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in content)


def _data_beside(file: Path) -> Iterator[Path]:
    if len(file.parts) > 1:  # beside a module that is no package's lies what is others'
        for path in located(file).parent.iterdir():
            if path.suffix in BESIDE:
                yield file.with_name(path.name)


@cache
def _imports(file: Path, computed: bool) -> frozenset[str]:
    """The modules of this project, and of the file's own package, that it imports, functions included, and the packages
    around them."""
    names: set[str] = set()
    package = module_of(file) if file.name == "__init__.py" else module_of(file).rpartition(".")[0]
    for node in _runs(ast.parse(located(file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif computed and isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {module_of(file.with_name(path.name)) for path in located(file).parent.glob("*.py")}
    roots = {"genas", module_of(file).split(".")[0]}
    ours = {name for name in names if name.split(".")[0] in roots and file_of(name)}
    around = {".".join(name.split(".")[:i]) for name in ours for i in range(1, name.count(".") + 1)}
    return frozenset(ours | around)


def _runs(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of blocks for the type checker, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _runs(node)


def code_digest(stage: str, measures: Iterable[str] = ()) -> str:
    """SHA-256 over the source that can change what a row of a stage computes which takes these measures."""
    return digest(closure(STAGES[stage].module).union(*(closure(measure_module(name), False) for name in measures)))
