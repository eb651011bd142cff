"""What an architecture of NAS-Bench-201 costs, as the benchmark counts it."""

from __future__ import annotations

from genas.models.spaces.base.cost import Cost
from genas.models.spaces.nasbench201.cell import Cell201


def nasbench201_cost(cell: Cell201, num_classes: int = 10, size: int = 32, channels: int = 16, cells: int = 5) -> Cost:
    """Parameters and multiply-adds of an architecture's network, as the benchmark counts them.

    A convolution counts one multiply-add for each weight and output pixel, the classifier one for each weight and each
    bias; BatchNorm, pooling and sums count nothing.

    Args:
        cell: the architecture.
        num_classes: the benchmark has 10, 100 or 120.
        size: pixels of the image, 32 or, for ImageNet16-120, 16.
        channels, cells: as for :class:`~genas.models.spaces.nasbench201.network.NasBench201`.
    """
    params, macs = 3 * 9 * channels + 2 * channels, 3 * 9 * channels * size**2
    for stage in range(3):
        if stage:
            size, before, channels = size // 2, channels, 2 * channels
            weights = 9 * before * channels + 9 * channels**2 + before * channels
            params, macs = params + weights + 4 * channels, macs + weights * size**2
        for operation in cell.operations:
            if "conv" in operation:
                weights = int(operation[-1]) ** 2 * channels**2
                params, macs = params + cells * (weights + 2 * channels), macs + cells * weights * size**2
    return Cost(params + 2 * channels + (channels + 1) * num_classes, macs + (channels + 1) * num_classes)
