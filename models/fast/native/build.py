"""The compiled form of ``blocks.c`` and its ``rows.h``: made at first use by the system's C compiler, kept for the
user's next process.

The library's name holds a hash of the source and of everything the compiler defines for this machine (its version and
the instruction sets it may use), so nothing stale is ever loaded and a shared home directory serves several machines.
It is written beside its place and then renamed, so processes that start together do not disturb each other.
Folder and library must be the user's, closed to writing by others.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from genas.models.errors import GenasError

SOURCE = Path(__file__).with_name("blocks.c")
SOURCES = (SOURCE, SOURCE.with_name("rows.h"))
COMPILER = "cc"
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast", "-std=gnu11")


def _compile(*arguments: str) -> str:
    try:
        done = subprocess.run([COMPILER, *FLAGS, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise GenasError(
            f"scorer native needs a C compiler: no {COMPILER!r} on the PATH (or choose scorer fast)"
        ) from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise GenasError(f"scorer native: {COMPILER} fails on {SOURCE.name} ({reason}); choose scorer fast")
    return done.stdout


@cache
def machine() -> str:
    """What the compiler defines for this machine: its version and the instruction sets."""
    return _compile("-dM", "-E", "-x", "c", os.devnull)


LANES = 8
"""Floats in the vectors of any machine."""


def lanes_for(channels: int) -> int:
    """Floats in a vector: as wide as the machine has, and no wider than what divides ``channels``."""
    return 16 if channels % 16 == 0 and "__AVX512F__" in machine() else LANES


def multiplies_bfloat16() -> bool:
    """Whether this machine multiplies vectors of bfloat16."""
    return "__AVX512BF16__" in machine()


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genas"


def _require_private(path: Path) -> None:
    """Return if a folder or file is this user's, and nobody else can write to it: what lies there is run.

    Raises:
        GenasError: it is another's, open to others, or a link.
    """
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise GenasError(
            f"scorer native: {path} is a link, another user's or writable by others, and what is in it would be run: "
            "remove it (or choose scorer fast)"
        )


@cache
def load(lanes: int) -> ctypes.CDLL:
    """The library for vectors of ``lanes`` floats.

    Raises:
        GenasError: no compiler is there, or it cannot compile the source, or the cache folder cannot be written
            or can be by others.
    """
    texts = [source.read_text() for source in SOURCES]
    code = hashlib.sha256("\0".join([*texts, machine(), *FLAGS]).encode()).hexdigest()[:16]
    path = _folder() / f"blocks-{lanes}-{code}.so"
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _require_private(path.parent)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                made = Path(folder) / path.name
                _compile(f"-DLANES={lanes}", "-shared", "-fPIC", str(SOURCE), "-o", str(made), "-lm")
                made.chmod(0o700)
                made.replace(path)
        _require_private(path)
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise GenasError(f"scorer native: {path} can be neither made nor loaded ({error})") from None
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    library.run_images.argtypes = [pointer, size, pointer, size, pointer, pointer, pointer]
    library.run_batch.argtypes = [pointer, size, pointer, size, pointer, pointer, ctypes.c_float]
    return library
