"""The C path against the plain supernets and against :mod:`genas.models.fast.folded`: every operation, width, stride
and size of both spaces."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.fast import folded, native
from genas.models.fast.native import build
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.darts.genotype import PRIMITIVES, Genotype, random_genotype
from genas.models.spaces.darts.supernet import Supernet
from genas.models.spaces.nasbench201.cell import OPERATIONS, Cell201, random_cell
from genas.models.spaces.nasbench201.network import NasBench201


@functools.cache
def _compiles() -> str:
    try:
        build.load(build.lanes_for(16))
    except GenasError as error:
        return str(error)
    return ""


@pytest.fixture
def compiled() -> None:
    if _compiles():
        pytest.skip(_compiles())


def _worn(network: OneShot[Any]) -> None:
    """Norms that scale and shift, some of them by less than zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter += torch.randn_like(parameter) / 2


@functools.cache
def supernet(channels: int, layers: int = 3) -> Supernet:
    torch.manual_seed(channels)
    network = Supernet(10, channels, layers)
    _worn(network)
    return network


@functools.cache
def nasbench201(channels: int, cells: int, affine: bool = True) -> NasBench201:
    torch.manual_seed(channels)
    network = NasBench201(10, channels, cells, affine=affine)
    _worn(network)
    return network


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, height, width, generator=generator)


def everywhere(operation: str) -> Genotype:
    """One operation on every edge: in the reduction cells, of stride 2 on some and 1 on others."""
    cell = tuple(Edge(operation, *pair) for pair in ((0, 2), (1, 2), (0, 3), (2, 3), (1, 4), (3, 4), (2, 5), (4, 5)))
    return Genotype(cell, cell)


def plain(network: OneShot[Any], architecture: Architecture, x: Tensor) -> tuple[Tensor, folded.Statistics]:
    """Logits with the statistics of ``x`` itself, and these statistics, by the plain path."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network.train()(x, architecture)
        logits = network.eval()(x, architecture)
    kept = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and module.num_batches_tracked:
            assert module.running_mean is not None
            assert module.running_var is not None
            kept[name] = folded.Moments(module.running_mean.clone(), module.running_var.clone())
    return logits, kept


def assert_same(architecture: Architecture, network: OneShot[Any], x: Tensor) -> None:
    logits, statistics = plain(network, architecture, x)
    weights = weights_of(network)
    seen = native.calibrate(network, architecture, weights, [x], None)
    assert seen.keys() == statistics.keys()
    for name, (mean, variance) in statistics.items():
        deviation = variance.sqrt().clamp(min=1e-3)
        torch.testing.assert_close(seen[name].mean / deviation, mean / deviation, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(seen[name].variance, variance, rtol=1e-3, atol=1e-6)
    found = native.run_path(network, architecture, x, native.Folded(weights, statistics))
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("size", [(8, 8), (7, 9)], ids=["even", "odd"])
@pytest.mark.parametrize("channels", [2, 3, 8, 16, 32])
@pytest.mark.parametrize("operation", PRIMITIVES[1:])
def test_operation(operation: str, channels: int, size: tuple[int, int]) -> None:
    """Widths of 1, 2 and 4 times ``channels`` are in the network, so C is 2 to 128."""
    assert_same(everywhere(operation), supernet(channels), images(3, *size))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("seed", range(6))
def test_random_path(seed: int, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either vector width serves any number of channels."""
    monkeypatch.setattr("genas.models.fast.native.path.lanes_for", lambda channels: lanes)
    assert_same(random_genotype(np.random.default_rng(seed)), supernet(8, 5), images(4, 10 + seed, 17 - seed))


CELLS = {
    **{operation: Cell201((operation,) * 6) for operation in OPERATIONS},
    "dead ends": Cell201.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"),
    "of nothing": Cell201.parse("|none~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|"),
    "one after the other": Cell201.parse("|skip_connect~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"),
    "input to output": Cell201.parse("|avg_pool_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"),
    **{f"random {seed}": random_cell(np.random.default_rng(seed)) for seed in range(6)},
}


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("channels", "cells", "affine"), [(3, 2, False), (8, 1, True), (16, 0, True), (16, 2, True)])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_cell_of_nasbench201(cell: Cell201, channels: int, cells: int, affine: bool) -> None:
    """Cells behind cells, and none; widths of 1, 2 and 4 times ``channels`` are in the network."""
    assert_same(cell, nasbench201(channels, cells, affine), images(3, 12, 20))


@pytest.mark.usefixtures("compiled")
def test_a_network_of_nasbench201_halves_its_images_twice() -> None:
    cell, network = CELLS["skip_connect"], nasbench201(8, 1)
    with pytest.raises(GenasError, match="halves images twice: 8x10 pixels are no multiple of 4"):
        native.calibrate(network, cell, weights_of(network), [images(2, 8, 10)], None)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("space", ["darts", "nasbench201"])
def test_an_image_has_the_same_bytes_in_any_company(space: str) -> None:
    network: OneShot[Any] = supernet(8) if space == "darts" else nasbench201(8, 1)
    architecture = everywhere("sep_conv_3x3") if space == "darts" else CELLS["nor_conv_3x3"]
    x, weights = images(7, 8, 8), weights_of(network)
    norm = native.Folded(weights, native.calibrate(network, architecture, weights, [x], None))
    together = native.run_path(network, architecture, x, norm)
    alone = [native.run_path(network, architecture, part, norm) for part in x.split([3, 4])]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("momentum", [None, 0.1])
def test_statistics_of_several_batches(momentum: float | None) -> None:
    network, genotype = supernet(8), random_genotype(np.random.default_rng(0))
    batches = [images(5, 8, 8, seed=1), images(3, 8, 8, seed=2) + 1, images(2, 6, 7, seed=3)]
    expected = folded.calibrate(network, genotype, weights_of(network), batches, momentum)
    found = native.calibrate(network, genotype, weights_of(network), batches, momentum)
    assert found.keys() == expected.keys()
    for name, moments in expected.items():
        torch.testing.assert_close(tuple(found[name]), tuple(moments), rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("compiled")
def test_nodes_of_any_number_of_inputs() -> None:
    pairs = [("skip_connect", 0, 2), ("skip_connect", 1, 3), ("sep_conv_3x3", 0, 3), ("max_pool_3x3", 2, 3)]
    pairs += [("skip_connect", 0, 4), ("skip_connect", 1, 4), ("skip_connect", 2, 4), ("avg_pool_3x3", 1, 5)]
    cell = tuple(Edge(*pair) for pair in pairs)
    assert_same(Genotype(cell, cell), supernet(8), images(3, 8, 8))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("space", "operation"), [*product(["darts"], PRIMITIVES[1:]), *product(["nasbench201"], OPERATIONS[1:])]
)
def test_nan_stays_nan(space: str, operation: str) -> None:
    """A NaN in one image reaches that image's logits, and no other's."""
    network: OneShot[Any] = supernet(8) if space == "darts" else nasbench201(8, 1)
    architecture, x = everywhere(operation) if space == "darts" else CELLS[operation], images(3, 8, 8)
    statistics = native.calibrate(network, architecture, weights_of(network), [x], None)
    x[1, 0, 4, 4] = float("nan")
    norm = native.Folded(weights_of(network), statistics)
    logits = native.run_path(network, architecture, x, norm)
    assert logits.isnan().all(1).tolist() == [False, True, False]
    assert not logits[::2].isnan().any()
    seen = native.calibrate(network, architecture, weights_of(network), [x], None)
    assert all(moments.mean.isnan().any() for moments in seen.values())


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("channels", [3, 8, 16])
@pytest.mark.parametrize(
    ("space", "operation"), [*product(["darts"], PRIMITIVES[1:]), *product(["nasbench201"], OPERATIONS[1:])]
)
def test_bfloat16_is_near(space: str, operation: str, channels: int) -> None:
    """Products are rounded to 8 bits, which is seen, and nothing else is lost; NaN stays NaN."""
    if not build.multiplies_bfloat16():
        pytest.skip("no AVX512-BF16")
    network: OneShot[Any] = supernet(channels) if space == "darts" else nasbench201(channels, 2)
    architecture, x = everywhere(operation) if space == "darts" else CELLS[operation], images(3, 8, 12)
    weights = weights_of(network)
    statistics = native.calibrate(network, architecture, weights, [x], None)
    exact, rough = (
        native.run_path(network, architecture, x, native.Folded(weights, statistics, dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert 1e-4 < float((rough - exact).norm() / exact.norm()) < 0.1
    x[1, 0, 4, 4] = float("nan")
    logits = native.run_path(network, architecture, x, native.Folded(weights, statistics, torch.bfloat16))
    assert logits.isnan().all(1).tolist() == [False, True, False]


@pytest.mark.usefixtures("compiled")
def test_other_types_spaces_and_devices_are_refused() -> None:
    network, genotype = supernet(2), everywhere("skip_connect")
    with pytest.raises(GenasError, match=r"takes images in float32, not in torch\.bfloat16"):
        native.calibrate(network, genotype, weights_of(network), [images(1, 8, 8).bfloat16()], None)
    with pytest.raises(GenasError, match=r"in float32 or bfloat16, not in torch\.float16"):
        native.run_path(network, genotype, images(1, 8, 8), native.Folded({}, {}, torch.float16))
    with pytest.raises(GenasError, match="knows darts, nasbench201, not the space other; choose scorer fast"):
        native.require("other", "cifar", torch.device("cpu"))
    with pytest.raises(GenasError, match="on a CPU, not on meta"):
        native.require("darts", "cifar", torch.device("meta"))


@pytest.fixture
def nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for function in (build.machine, build.load):
        function.cache_clear()
        monkeypatch.setattr(build, function.__name__, functools.cache(function.__wrapped__))
    return tmp_path / "genas"


@pytest.mark.usefixtures("nothing_compiled")
def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GenasError, match="scorer native needs a C compiler") as error:
        build.load(8)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("compiled")
def test_compiles_once(nothing_compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.load(8)
    (library,) = nothing_compiled.iterdir()
    build.load.cache_clear()
    defined = build.machine()
    monkeypatch.setattr(build, "machine", lambda: defined)
    monkeypatch.setattr(build, "subprocess", SimpleNamespace())  # a second compilation would fail
    build.load(8)
    assert list(nothing_compiled.iterdir()) == [library]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("open_to", [0o020, 0o002])
@pytest.mark.parametrize("what", ["folder", "library"])
def test_what_others_can_write_is_not_loaded(nothing_compiled: Path, what: str, open_to: int) -> None:
    build.load(8)
    (library,) = nothing_compiled.iterdir()
    assert [path.stat().st_mode & 0o777 for path in (nothing_compiled, library)] == [0o700, 0o700]
    build.load.cache_clear()
    opened = {"folder": nothing_compiled, "library": library}[what]
    opened.chmod(0o700 | open_to)
    with pytest.raises(GenasError, match="writable by others") as error:
        build.load(8)
    assert str(error.value).startswith(f"scorer native: {opened} is ")


@pytest.mark.usefixtures("compiled")
def test_another_users_folder_and_a_link_are_not_used(nothing_compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nothing_compiled.parent / "elsewhere").mkdir(mode=0o700)
    nothing_compiled.symlink_to(nothing_compiled.parent / "elsewhere")
    with pytest.raises(GenasError, match="is a link"):
        build.load(8)
    nothing_compiled.unlink()
    monkeypatch.setattr(os, "getuid", lambda: nothing_compiled.parent.stat().st_uid + 1)
    with pytest.raises(GenasError, match="another user's"):
        build.load(8)
    assert not list(nothing_compiled.iterdir())


SANITIZED = """
import sys
from genas.models.fast.native import build
build.FLAGS = ("-g", "-O1", *build.FLAGS[1:], "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
"""
TESTED = """
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-m", "not slow", *sys.argv[1:]]))
"""
OUTSIDE = """
import numpy as np
from genas.models.fast.native.steps import SUM, Step
step = Step(SUM, 0, 1, 8, 8, 8, out=1000, out_height=8, out_width=8, out_channels=8)  # of an arena of 512
steps, arena = np.array([step], dtype=np.int64), np.zeros(512, dtype=np.float32)
build.load(8).run_images(steps.ctypes.data, 1, arena.ctypes.data, 1, *3 * [arena.ctypes.data])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("program", "passes"), [(TESTED, True), (OUTSIDE, False)], ids=["tests", "out of bounds"])
def test_no_memory_but_its_own(program: str, passes: bool, tmp_path: Path) -> None:
    """Under the address and undefined behaviour sanitizers, these tests pass, and a step outside of the arena ends the
    process."""
    asked = [[build.COMPILER, f"-print-file-name=lib{name}.so"] for name in ("asan", "ubsan")]
    libraries = [subprocess.run(one, capture_output=True, text=True, check=True).stdout.strip() for one in asked]
    if not all(Path(library).is_absolute() for library in libraries):
        pytest.skip("this compiler has no sanitizers")
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # what Python itself keeps is no leak of ours
        "XDG_CACHE_HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", SANITIZED + program, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == passes, done.stdout + done.stderr
    assert (" passed" in done.stdout) == passes
    assert ("AddressSanitizer" in done.stderr) != passes
