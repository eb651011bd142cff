"""The retrained network of a row, as all that comes after it reads it: a file that must be the row's own.

DVC sees to the order, but a file can also be laid into ``out/retrain/`` by hand, say official weights.
"""

from __future__ import annotations

from pathlib import Path

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import read_header
from genas.models.spaces.darts.genotype import EDGES, Genotype
from genas.pipeline.config import Params
from genas.pipeline.context import Context


def first_difference(found: Genotype, expected: Genotype) -> str:
    """The first edge in which two different genotypes differ: ``normal cell, edge 0->2: ..., expected ...``."""
    for name, ours, theirs in (("normal", found.normal, expected.normal), ("reduction", found.reduce, expected.reduce)):
        a, b = ({(edge.source, edge.target): edge.operation for edge in cell} for cell in (ours, theirs))
        for pair in EDGES:
            one, other = a.get(pair, "none"), b.get(pair, "none")
            if one != other:
                return f"{name} cell, edge {pair[0]}->{pair[1]}: {one}, expected {other}"
    raise ValueError("the genotypes are equal")


def network_file(params: Params, root: Path, row: str) -> Path:
    """The network file of a row, whose header says what the row of ``params.yaml`` says.

    The cell is compared where the row's genotype file is there, which it need not be: nothing but the weights is read.

    Raises:
        GenasError: no network file, or one of another width, number of cells, stem, image size or cell.
    """
    path, settings = root / "out" / "retrain" / row / "weights.safetensors", params.rows[row]
    header = read_header(path)
    found = {**header.architecture, "image_size": header.preprocessing.size}
    for key in ("width", "layers", "stem", "image_size"):
        expected = getattr(settings, key)
        if expected not in (None, found[key]):  # a width that is not given was fitted to a budget
            raise GenasError(
                f"{path}: a network of {key.replace('_', ' ')} {found[key]}, expected {expected} (rows.{row}.{key})"
            )
    cell = root / "out" / settings.cell / "genotype.json"
    if cell.exists() and header.genotype != Genotype.load(cell):
        difference = first_difference(header.genotype, Genotype.load(cell))
        raise GenasError(f"{path}: a network of another cell than {cell} ({difference})")
    return path


def retrained(context: Context) -> Path:
    """The network file of the context's row.

    Raises:
        GenasError: as :func:`network_file`.
    """
    return network_file(context.params, context.root, context.row)
