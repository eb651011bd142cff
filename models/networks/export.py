"""A network file in the forms that others read: a folder of timm's, an ONNX file, a program of ``torch.export``.

Each is read back with the software that is meant to read it and must give the logits of the network itself, for one
image and for several, before the function that wrote it returns. The auxiliary head, which only training uses, stays
behind. The same network file gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import timm
import torch
from timm.models._hub import save_config_for_hf
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import NetworkFile, load_network, read_header, save_network
from genas.models.spaces.darts.network import GenasNetwork

TOLERANCE = 1e-4
"""The largest difference between two logits that count as the same."""

BATCHES = (1, 3)
"""The numbers of images that a written file is tried with."""


def bare_network(source: Path) -> GenasNetwork:
    """The network of a file, in evaluation mode, without an auxiliary head.

    Raises:
        GenasError: as :func:`~genas.models.networks.files.checkpoint.load_network`.
    """
    network = load_network(source)
    if hasattr(network, "auxiliary_head"):
        del network.auxiliary_head
    return network


def example(header: NetworkFile, count: int) -> Tensor:
    """Images (count, channels, size, size) as they look after normalisation; the same ones every time."""
    size = header.preprocessing.size
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, header.architecture["in_chans"], size, size, generator=generator)


@torch.no_grad()
def require_same(path: Path, network: GenasNetwork, header: NetworkFile, read: Callable[[Tensor], Tensor]) -> float:
    """The largest difference between the network's logits and those of what was written to ``path``.

    Raises:
        GenasError: it exceeds :data:`TOLERANCE`, or is no number.
    """
    images = [example(header, count) for count in BATCHES]
    difference = float(torch.stack([(read(x) - network(x)).abs().max() for x in images]).max())
    if not difference <= TOLERANCE:  # not a number is no agreement either
        raise GenasError(f"{path}: its logits differ by {difference:.3g} from the network's, more than {TOLERANCE:g}")
    return difference


def write_timm(source: Path, folder: Path, tag: str) -> float:
    """Write ``model.safetensors`` and ``config.json``, from which timm rebuilds the network offline.

    Once ``genas.models.spaces.darts.network`` is imported, ``timm.create_model("local-dir:FOLDER", pretrained=True)``
    gives the network, with all that timm can change about one: ``num_classes``, ``in_chans``, ``features_only``. The
    weights file is a network file of this project, too.

    Args:
        source: a network file.
        folder: where to write; it exists.
        tag: what timm calls these weights: ``genas_network.TAG``.

    Returns:
        The largest difference between logits, see :func:`require_same`.

    Raises:
        GenasError: ``source`` is no network file, or the folder does not give its logits.
    """
    header, network = read_header(source), bare_network(source)
    weights, config = folder / "model.safetensors", folder / "config.json"
    save_network(weights, network, header.preprocessing, list(header.classes))
    save_config_for_hf(
        network,
        str(config),
        model_config={
            "label_names": list(header.classes),
            "pretrained_cfg": {"tag": tag, "pool_size": None, "license": "mit"},
        },
        model_args={"genotype": header.genotype.to_dict(), "auxiliary": False},
    )
    weights.chmod(config.stat().st_mode)  # safetensors writes for its owner alone
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return require_same(weights, network, header, loaded)


def write_programs(source: Path, folder: Path) -> dict[str, float]:
    """Write ``model.pt2`` (``torch.export``) and ``model.onnx``: ``images`` (N, channels, size, size) to ``logits``.

    N is free; height and width are those that the network was trained for. Both hold float32 weights and no trace of
    this machine.

    Args:
        source: a network file.
        folder: where to write; it exists.

    Returns:
        The largest difference between logits by file name, see :func:`require_same`.

    Raises:
        GenasError: ``source`` is no network file, the exporter's packages are missing, or a file does not give the
            network's logits.
    """
    require_packages()
    import onnxruntime

    header, network = read_header(source), bare_network(source)
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (example(header, 2),), dynamic_shapes=batch)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names the folders of this machine
    pt2, onnx = folder / "model.pt2", folder / "model.onnx"
    torch.export.save(program, pt2)
    converted = torch.onnx.export(
        program,
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: "batch"},),
        verbose=False,
    )
    assert converted is not None, "without a path the exporter returns the model"
    converted.save(onnx, external_data=False)

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return {
        pt2.name: require_same(pt2, network, header, torch.export.load(pt2).module()),
        onnx.name: require_same(
            onnx, network, header, lambda x: torch.from_numpy(session.run(["logits"], {"images": x.numpy()})[0])
        ),
    }


def require_packages() -> None:
    """Refuse to start without what writes and checks ONNX files.

    Raises:
        GenasError: a package is missing; the message says how it is installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise GenasError(f"an export needs {error.name}: pip install -e '.[export]'") from None
