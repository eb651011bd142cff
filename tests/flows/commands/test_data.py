"""``genas data get`` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.calling import genas


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("cifar10",), "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz: no connection to www.cs."),
        (("cifar10", "imagenet"), "imagenet needs a login: log in at https://image-net.org/download.php, "),
        (("cityscapes",), "cityscapes needs a login: log in at https://www.cityscapes-dataset.com/downloads, "),
        (("cifar10", "mnist"), "unknown data set 'mnist', expected one of cifar10, cifar100, coco, "),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_one_line(tmp_path: Path, names: tuple[str, ...], line: str) -> None:
    """Without a network (here a proxy that is none), without a login, without a name."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    said = genas("data", "get", *names, "--into", str(tmp_path), **nowhere)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(f"error: {line}")
    assert said.stderr.count("\n") == 1
