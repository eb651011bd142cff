"""The stand-alone network of a genotype, registered in timm as ``genas_network``.

With the ``imagenet`` stem it is the DARTS ImageNet network (retrain_architecture/model.py of the official code):
two stems to stride 8, cells with reductions at one third and two thirds to strides 16 and 32, an auxiliary head
behind the second reduction. With the ``cifar`` stem it keeps the resolution of 32x32 images: strides 1, 2, 4.

Features are the outputs of the last cell at each resolution, before the ReLU with which every reader of a cell
starts; with the ``imagenet`` stem the first of them is the stem's output at stride 4.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.layers import DropPath, SelectAdaptivePool2d
from timm.models import build_model_with_cfg, register_model
from timm.models._features import feature_take_indices
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genas.models.errors import GenasError
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.operations import DENSE, OPERATIONS, Grid
from genas.models.spaces.darts.auxiliary import AuxiliaryHead
from genas.models.spaces.darts.cell import concatenate, preprocess, run_cell
from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.layout import edge_stride, is_reduction, require_shape
from genas.models.spaces.darts.stem import cifar_stem, imagenet_stems


class Cell(nn.Module):
    """A cell that holds exactly the operations of its edges."""

    join = staticmethod(concatenate)

    def __init__(
        self,
        edges: tuple[Edge, ...],
        in0: int,
        in1: int,
        channels: int,
        reduction: bool,
        reduction_before: bool,
        grid: Grid = DENSE,
        grid_before: Grid = DENSE,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.edges = edges
        self.preprocess0 = preprocess(in0, channels, reduction_before, grid_before)
        self.preprocess1 = preprocess(in1, channels, False)
        self.operations = nn.ModuleList()
        for edge in edges:
            stride = edge_stride(reduction, edge.source)
            on = grid.after(2) if reduction and edge.source >= 2 else grid
            self.operations.append(OPERATIONS[edge.operation](channels, stride, on))
        # As in DARTS, a plain skip connection is never dropped.
        self.drop_path = DropPath(drop_path)

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        def operate(i: int, edge: Edge, x: Tensor) -> Tensor:
            out = self.operations[i](x)
            return out if isinstance(self.operations[i], nn.Identity) else self.drop_path(out)

        return run_cell(self.preprocess0(s0), self.preprocess1(s1), self.edges, operate, self.join)


class GenasNetwork(nn.Module):
    """A network built from a genotype's cells.

    Args:
        genotype: the two cells.
        width: C of the first cell ("init channels"); even.
        layers: cells, at least 3, with reductions at one third and two thirds (ImageNet: 14).
        num_classes: outputs; 0 leaves the pooled features.
        in_chans: channels of the images.
        stem: ``imagenet`` (features at strides 4, 8, 16, 32) or ``cifar`` (1, 2, 4).
        auxiliary: build the auxiliary head; in training ``forward`` then returns (logits, auxiliary logits).
        output_stride: 8, 16 or 32; below 32 the later reductions are atrous (``imagenet`` stem only).
        drop_rate: dropout before the classifier.
        drop_path_rate: chance of dropping an edge for an image, plain skips excepted.

    Raises:
        GenasError: an unknown stem, an odd width, too few layers, or an output stride that the stem cannot give.
    """

    def __init__(
        self,
        genotype: Genotype,
        width: int = 48,
        layers: int = 14,
        num_classes: int = 1000,
        in_chans: int = 3,
        stem: str = "imagenet",
        auxiliary: bool = False,
        output_stride: int = 32,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        global_pool: str = "avg",
    ) -> None:
        super().__init__()
        require_shape(width, layers, stem)
        if output_stride not in ((8, 16, 32) if stem == "imagenet" else (32,)):
            raise GenasError(f"output stride {output_stride} is not possible with the {stem} stem")
        self.genotype, self.width, self.layers, self.stem_kind = genotype, width, layers, stem
        self.num_classes, self.drop_rate, self.grad_checkpointing = num_classes, drop_rate, False
        self.auxiliary_index = 2 * layers // 3

        if stem == "imagenet":
            self.stem0, self.stem1 = imagenet_stems(in_chans, width)
            before = last = width
            reduction_before, stride = True, 8
            self.feature_info = [{"num_chs": width, "reduction": 4, "module": "stem0"}]
        else:
            before = last = 3 * width
            self.stem0, self.stem1 = cifar_stem(in_chans, width), nn.Sequential()
            reduction_before, stride = False, 1
            self.feature_info = []

        self.cells = nn.ModuleList()
        channels, grid, grid_before = width, DENSE, DENSE
        for index in range(layers):
            reduction = is_reduction(index, layers)
            if reduction:
                channels *= 2
                stride *= 2
                grid = grid._replace(atrous=stem == "imagenet" and stride > output_stride)
            edges = genotype.cell(reduction)
            cell = Cell(edges, before, last, channels, reduction, reduction_before, grid, grid_before, drop_path_rate)
            self.cells.append(cell)
            # The next cell's older input still lives on this cell's input grid.
            grid_before = grid
            grid = grid.after(2) if reduction else grid
            before, last, reduction_before = last, 4 * channels, reduction
            if index + 1 == layers or is_reduction(index + 1, layers):
                reduced = min(stride, output_stride) if stem == "imagenet" else stride
                self.feature_info.append({"num_chs": last, "reduction": reduced, "module": f"cells.{index}"})
            if auxiliary and index == self.auxiliary_index:
                self.auxiliary_head = AuxiliaryHead(last, num_classes)
        self.num_features = self.head_hidden_size = last
        self.global_pool = SelectAdaptivePool2d(pool_type=global_pool, flatten=True)
        self.head_drop = nn.Dropout(drop_rate)
        self.classifier = nn.Linear(last, num_classes) if num_classes else nn.Identity()

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        """The linear layer (timm's interface)."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier for other classes (timm's interface); the auxiliary head goes."""
        if global_pool is not None:
            self.global_pool = SelectAdaptivePool2d(pool_type=global_pool, flatten=True)
        device = next(self.parameters()).device
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes, device=device) if num_classes else nn.Identity()
        if hasattr(self, "auxiliary_head"):
            del self.auxiliary_head

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade a second forward pass of each cell for its activations (timm's interface)."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Layer groups for layer-wise learning rates (timm's interface)."""
        return {"stem": r"^stem[01]", "blocks": r"^cells\.(\d+)"}

    def _walk(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The last cell's output, and the output of every stage-ending module by name."""
        kept: dict[str, Tensor] = {}
        s0 = self.stem0(x)
        kept["stem0"] = s0
        s1 = self.stem1(s0)
        for index, cell in enumerate(self.cells):
            if self.grad_checkpointing and self.training:
                out = checkpoint(cell, s0, s1, use_reentrant=False)
            else:
                out = cell(s0, s1)
            s0, s1 = s1, out
            kept[f"cells.{index}"] = s1
        return s1, kept

    def forward_features(self, x: Tensor) -> Tensor:
        """The last cell's output, (N, 16 width, H/32, W/32) with the ``imagenet`` stem."""
        return self._walk(x)[0]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled features or logits from the last cell's output."""
        x = self.head_drop(self.global_pool(x))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (N, num_classes); in training with an auxiliary head, also the auxiliary logits."""
        features, kept = self._walk(x)
        logits = self.forward_head(features)
        if self.training and hasattr(self, "auxiliary_head"):
            return logits, self.auxiliary_head(kept[f"cells.{self.auxiliary_index}"])
        return logits

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | tuple[int, ...] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Feature maps by index into ``feature_info`` (timm's interface, behind ``features_only=True``)."""
        assert output_fmt == "NCHW", "feature maps are NCHW"
        take, _ = feature_take_indices(len(self.feature_info), indices)
        last, kept = self._walk(x)
        maps = [kept[self.feature_info[i]["module"]] for i in take]
        return maps if intermediates_only else (last, maps)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop the heads that feature extraction does not need (timm's interface)."""
        take, _ = feature_take_indices(len(self.feature_info), indices)
        if prune_head:
            self.reset_classifier(0)
        return take


def default_cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (7, 7),
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "first_conv": "stem0.0",
        "classifier": "classifier",
        **kwargs,
    }


default_cfgs = timm.models.generate_default_cfgs({"genas_network.untrained": default_cfg()})


@register_model
def genas_network(pretrained: bool = False, *, genotype: Genotype | dict[str, Any], **kwargs: Any) -> GenasNetwork:
    """Any genotype's network: ``timm.create_model("genas_network", genotype=..., width=..., layers=...)``.

    The genotype may also be given as :meth:`Genotype.to_dict` writes it, which is how JSON files hold it.
    """
    return build_model_with_cfg(
        GenasNetwork,
        "genas_network",
        pretrained,
        genotype=genotype if isinstance(genotype, Genotype) else Genotype.from_dict(genotype),
        feature_cfg={
            "out_indices": tuple(range(4 if kwargs.get("stem", "imagenet") == "imagenet" else 3)),
            "feature_cls": "getter",
        },
        **kwargs,
    )
