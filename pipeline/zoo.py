"""The ``zoo`` stage: lay out a published cell like a searched one, so that retraining does not tell them apart."""

from __future__ import annotations

from models.cost import network_cost
from models.zoo import zoo, zoo_genotype
from pipeline import pictures
from pipeline.context import Context


def run(context: Context) -> dict[str, float]:
    """Write the cell and its picture; parameters and multiply-adds at its published width (14 cells, 224 pixels)."""
    genotype = zoo_genotype(context.row)
    entry = zoo()[context.row]
    genotype.save(context.out / "genotype.json", source=entry["source"])
    pictures.draw_genotype(genotype, context.out / "cell.png", context.row)
    cost = network_cost(genotype, 224, width=entry["width"] or 48, layers=14)
    return {"params": cost.params, "macs": cost.macs}
