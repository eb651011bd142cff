"""A GPU that is not there: what code does on the device ``cuda``, on a machine without one.

Tensors on the device are torch's fake ones: shape, type and device without numbers. Those on the CPU stay real, so
whole stages run. What would fail on a GPU fails here (two devices in one operation, a generator of the wrong one), and
every wait of the host for the device is noted and then answered with ones. Backward passes do not run: gradients are
zeros.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from genas.pipeline.config import REPOSITORY

aten = torch.ops.aten
Generator = torch.Generator
COPIES = (aten._to_copy.default, aten.copy_.default, aten._local_scalar_dense.default)
"""The operations that may see two devices."""
OURS = tuple(str(REPOSITORY / folder) for folder in ("genas", "tests"))
BATCH_NORMS = (aten.cudnn_batch_norm.default, aten.native_batch_norm.default)


class CudaGenerator(Generator):
    """A generator of the device."""


def _generator(device: torch.device | str = "cpu") -> Generator:
    return CudaGenerator() if torch.device(device).type == "cuda" else Generator()


class FakeCuda(TorchDispatchMode):
    """The device ``cuda``.

    Attributes:
        waits: for each time that the host waited for the device, what made it wait
            (``pipeline/retrain/evaluation.py:logits_of``).
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        seen = list(chain.from_iterable(x if isinstance(x, list | tuple) else [x] for x in (*args, *kwargs.values())))
        there = [x for x in seen if isinstance(x, FakeTensor)]
        if not there and not any(isinstance(x, torch.device) and x.type == "cuda" for x in seen):
            with unset_fake_temporarily():
                return operation(*args, **kwargs)
        if not there and operation is aten._to_copy.default:
            return _uploaded(args[0], kwargs)
        if operation not in COPIES:
            here = [x for x in seen if isinstance(x, Tensor) and not isinstance(x, FakeTensor) and x.dim()]
            assert not here or not there, f"{operation} on two devices, in {_place()}"
            wrong = [x for x in seen if isinstance(x, Generator) and not isinstance(x, CudaGenerator)]
            assert not wrong, f"{operation} with a generator of the CPU, in {_place()}"
        if operation is aten._local_scalar_dense.default:
            self.waits.append(_place())
            return 1.0 if args[0].dtype.is_floating_point else 1
        if operation is aten.copy_.default and isinstance(args[0], FakeTensor) is not isinstance(args[1], FakeTensor):
            return args[0] if isinstance(args[0], FakeTensor) else args[0].copy_(self._wait(args[1]))
        if operation in BATCH_NORMS:  # its own fakes are a hundred operations
            x = args[0]
            return [torch.empty_like(x), *(x.new_empty(x.shape[1]) for _ in operation._schema.returns[1:])]
        result = operation(*args, **kwargs)  # by the mode of fake tensors, which is below this one
        if operation is aten._to_copy.default and result.device.type == "cpu":
            return self._wait(result)
        return result

    def _wait(self, asked: Tensor) -> Tensor:
        """Note a wait; what the device answers."""
        self.waits.append(_place())
        with unset_fake_temporarily():
            return torch.ones(asked.shape, dtype=asked.dtype)


def _uploaded(x: Tensor, wanted: dict[str, Any]) -> Tensor:
    """A tensor of the CPU on the device."""
    dtype, layout = wanted.get("dtype") or x.dtype, wanted.get("memory_format") or torch.preserve_format
    if layout is torch.preserve_format:
        return torch.empty_strided(x.shape, x.stride(), dtype=dtype, device="cuda")
    return torch.empty(x.shape, dtype=dtype, device="cuda", memory_format=layout)


def _place() -> str:
    """The innermost function of the project that is at work."""
    frames = (frame for frame, _ in traceback.walk_stack(None) if frame.f_code.co_filename != __file__)
    ours = next(frame for frame in frames if frame.f_code.co_filename.startswith(OURS))
    return f"{Path(ours.f_code.co_filename).resolve().relative_to(REPOSITORY)}:{ours.f_code.co_name}"


def _no_gradients(loss: Tensor) -> None:
    """Zeros, added to the gradient of every parameter that a loss depends on."""
    nodes, known = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in known:
            continue
        known.add(node)
        nodes += [before for before, _ in node.next_functions]
        if (leaf := getattr(node, "variable", None)) is not None:
            zeros = torch.zeros_like(leaf)
            leaf.grad = zeros if leaf.grad is None else leaf.grad.add_(zeros)
    assert len(known) > 1, "nothing is trained by this loss"


def _zeros(loss: Tensor, inputs: Sequence[Tensor], **_: Any) -> tuple[Tensor, ...]:
    assert loss.requires_grad
    return tuple(map(torch.zeros_like, inputs))


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """The device is there, and chosen, as long as the block lasts."""
    answers: dict[Any, Callable[..., Any]] = {
        (torch.cuda, "device_count"): lambda: 1,
        (torch.cuda, "is_bf16_supported"): lambda *_: True,
        (torch.cuda.amp.common, "amp_definitely_not_available"): lambda: False,
        (torch, "Generator"): _generator,
        (torch.autograd, "grad"): _zeros,
        (torch.Tensor, "backward"): _no_gradients,
        (torch.utils, "weakref"): SimpleNamespace(getweakrefs=lambda _: []),  # a module's types change all the same
    }
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), fake, FakeCuda() as gpu:
        warnings.filterwarnings("ignore", "'pin_memory' argument", UserWarning)
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor", UserWarning)  # copy.deepcopy
        for (place, name), answer in answers.items():
            patch.setattr(place, name, answer)
        patch.setenv("GENAS_DEVICE", "cuda")
        yield gpu
