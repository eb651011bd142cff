"""Multiply-adds of any module, counted while it runs, on the ``meta`` device where no number is needed."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(model: nn.Module, size: tuple[int, int], in_chans: int = 3) -> int:
    """Multiply-adds for one image of ``size`` (height, width); what papers call FLOPs.

    A convolution counts one per weight and output pixel, a linear layer ``2 * in - 1`` per output (the convention of
    the official counter, retrain_architecture/thop/count_hooks.py); BatchNorm, ReLU and pooling count nothing.
    """
    aten = torch.ops.aten
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, in_chans, *size, device=device))
    model.train(training)
    counts = counter.get_flop_counts()
    flops, root = counts["Global"], type(model).__name__
    linear = sum(flops.get(op, 0) for op in (aten.addmm, aten.mm))
    ran = (m for name, m in model.named_modules() if isinstance(m, nn.Linear) and f"{root}.{name}" in counts)
    return flops.get(aten.convolution, 0) // 2 + linear - sum(module.out_features for module in ran)
