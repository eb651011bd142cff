"""The published cells (:mod:`genas.models.networks.published`) as timm models, registered by importing this module:
``timm.create_model("genas_flatness_c100")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.models import generate_default_cfgs, register_model

from genas.models.networks.published import zoo, zoo_genotype, zoo_width
from genas.models.spaces.darts.network import GenasNetwork, default_cfg, genas_network

__all__: list[str] = []  # timm adds its models


def _model(name: str) -> Callable[..., GenasNetwork]:
    def build(pretrained: bool = False, **kwargs: Any) -> GenasNetwork:
        return genas_network(pretrained, **{"genotype": zoo_genotype(name), "width": zoo_width(name), **kwargs})

    row = zoo()[name]
    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"{row['method']}, searched on {row['searched_on']}: a row of the zoo."
    return build


default_cfgs = generate_default_cfgs(
    {f"{name}.untrained": default_cfg() for name, row in zoo().items() if row["genotype"]}
)
for _name in default_cfgs:
    globals()[_name] = register_model(_model(_name))
