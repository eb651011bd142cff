"""The ``zoo`` stage: lay out a published cell like a searched one, so that retraining does not tell them apart."""

from __future__ import annotations

from genas.models.networks.published import zoo, zoo_cost, zoo_genotype
from genas.pipeline.context import Context


def run(context: Context) -> dict[str, float]:
    """Write the cell; what its network costs (:func:`genas.models.networks.published.zoo_cost`)."""
    genotype = zoo_genotype(context.row)
    genotype.save(context.out / "genotype.json", source=zoo()[context.row]["source"])
    cost = zoo_cost(context.row)
    return {"params": cost.params, "macs": cost.macs}
