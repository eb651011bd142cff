"""The model card of an export: what a network is, where it comes from, how it was trained, how good it is.

Markdown under YAML front matter, as the Hugging Face Hub reads it. It says what ``params.yaml`` and ``out/`` say; the
same inputs give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import yaml

from genas.models.networks.export import TOLERANCE
from genas.models.networks.files.checkpoint import NetworkFile, Preprocessing
from genas.models.networks.published import zoo
from genas.models.spaces.base.cost import Cost
from genas.models.spaces.darts.cost import network_cost
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.config import Params
from genas.pipeline.report.page import table
from genas.pipeline.results import records
from genas.pipeline.results.board import COLUMNS, JUDGES, number
from genas.pipeline.stages import Key
from genas.pipeline.stages.graph import Node, graph, settings

NAMED = 20
"""Up to so many classes are named in the card; all of them are in ``config.json``."""

LIBRARIES = {
    "pillow": "Pillow, as timm does",
    "opencv": "OpenCV, without antialiasing: timm's own transform differs a little",
}

OWN = " The profile's data, sizes and lengths are its own: **the numbers below cannot be compared with the paper's**."

USAGE = """
In a checkout of this project, installed (`pip install -e .`), with this folder as the working directory:

```python
import timm
import torch
from PIL import Image

import genas.models.spaces.darts.network  # registers genas_network in timm

network = timm.create_model("local-dir:.", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
images = transform(Image.open("image.jpg").convert("RGB"))[None]
with torch.no_grad():
    logits = network(images)
print(network.pretrained_cfg["label_names"][int(logits.argmax())])
```

`num_classes=`, `in_chans=` and `features_only=True` work as for any model of timm.

Without this project, any number of `images` prepared in the same way:

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(from_onnx,) = session.run(["logits"], {"images": images.numpy()})
```

```python
import torch

program = torch.export.load("model.pt2").module()
from_program = program(images)
```
"""

CITATION = """
```bibtex
@inproceedings{jeong2023genas,
  title = {{GeNAS}: Neural Architecture Search with Better Generalization},
  author = {Jeong, Joonhyun and Yu, Joonsang and Park, Geondo and Han, Dongyoon and Yoo, YoungJoon},
  booktitle = {Proceedings of the Thirty-Second International Joint Conference on Artificial Intelligence},
  year = {2023}
}
```
"""


def model_card(params: Params, root: Path, row: str, header: NetworkFile) -> str:
    """The card of a retrained row.

    Args:
        params: the profile's parameters.
        root: the profile's folder.
        row: a retrained row.
        header: of its network file.
    """
    nodes = graph(params)
    cost = network_cost(header.genotype, header.preprocessing.size, **header.architecture)
    dataset = _data_of(nodes["retrain", row])
    parts = [
        f"# {_name(params, row)}",
        f"An image classifier built from the cell below, trained on `{dataset}` as the row `{row}` of the profile "
        f"`{params.profile}` of the GeNAS pipeline, a reproduction of *GeNAS: Neural Architecture Search with Better "
        f"Generalization* (Jeong et al., IJCAI 2023).{'' if params.profile == 'paper' else OWN}",
        "![the normal and the reduction cell](cell.png)",
        "## Network\n\n" + _network(header, cost),
        "## Cell\n\n" + _cell(nodes, params, row, header.genotype),
        "## Data\n\n" + _data(params, root, dataset),
        "## Training\n\n" + _settings(params, ("retrain", row)),
        "## Results\n\n" + _results(nodes, root, row),
        "## Use\n" + USAGE + _checked(),
        "## Licence\n\n"
        f"MIT, as the project. The network was trained on `{dataset}`: the terms of these data apply besides.",
        "## Citation\n" + CITATION.rstrip(),
    ]
    return f"---\n{_front(params, root, row, dataset)}---\n\n" + "\n\n".join(parts) + "\n"


def _name(params: Params, row: str) -> str:
    return f"genas-{params.profile}-{row}"


def _data_of(node: Node) -> str:
    """The data set that a row reads."""
    return next(row for stage, row in node.inputs if stage == "data")


def _checked() -> str:
    """What the files were tried with: a program of ``torch.export`` is not promised to load in another version."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "onnxruntime"))
    return f"\nAll three gave the same logits within {TOLERANCE:g} when they were written, with {versions}."


def _front(params: Params, root: Path, row: str, dataset: str) -> str:
    """The YAML that the Hub reads."""
    measured = records.metrics(root, ("retrain", row))
    accuracy = [
        {"type": "accuracy", "name": f"{COLUMNS[name]} (%)", "value": round(measured[name], 4)}
        for name in ("top1", "top5")
        if name in measured
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"type": dataset, "name": dataset},
        "metrics": accuracy,
    }
    content = {
        "license": "mit",
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["timm", "image-classification", "neural-architecture-search", "genas", "onnx"],
        "model-index": [{"name": _name(params, row), "results": [result]}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _network(header: NetworkFile, cost: Cost) -> str:
    a, p, classes = header.architecture, header.preprocessing, header.classes
    named = f": {', '.join(classes)}" if len(classes) <= NAMED else ""
    lines = [
        ("cells", f"{a['layers']}, width {a['width']}, {a['stem']} stem"),
        ("classes", f"{len(classes)}{named}"),
        (COLUMNS["params"], number(cost.params, "params")),
        (COLUMNS["macs"], f"{number(cost.macs, 'macs')}, for one image of {p.size}x{p.size}"),
        ("preprocessing", _preprocessing(p)),
    ]
    return table(("", ""), lines)


def _preprocessing(p: Preprocessing) -> str:
    resized, how = int(p.size / p.crop_pct), f"{p.interpolation}, by {LIBRARIES[p.resize]}"
    return (
        f"RGB; shorter side to {resized} pixels ({how}), centre crop {p.size}x{p.size}, scaled to [0, 1], "
        f"minus mean {list(p.mean)}, divided by std {list(p.std)}"
    )


def _cell(nodes: Mapping[Key, Node], params: Params, row: str, genotype: Genotype) -> str:
    """Where the genotype comes from, as its zoo entry or its search's parameters say, and the genotype."""
    key = next(key for key in nodes["retrain", row].inputs if key[0] != "data")
    stage, name = key
    if stage == "zoo":
        entry = zoo()[name]
        source = ", ".join(f"{what} `{value}`" for what, value in entry["source"].items())
        origin = f"Published: {entry['method']}, searched on {entry['searched_on']} ({source})."
    else:
        origin = f"Found by `{stage}@{name}`:\n\n" + _settings(params, key)
        if stage == "rerank":
            searched = nodes[key].inputs[0]
            origin += f"\n\namong the candidates of `search@{searched[1]}`:\n\n" + _settings(params, searched)
    cells = ",\n".join(f'  "{kind}": {json.dumps(edges)}' for kind, edges in genotype.to_dict().items())
    explained = "An edge is [operation, source, target]; 0 and 1 are the cell's inputs, 2 to 5 the picture's 0 to 3."
    return f"{origin}\n\n{explained}\n\n```json\n{{\n{cells}\n}}\n```"


def _data(params: Params, root: Path, dataset: str) -> str:
    spec, manifest = params.data[dataset], records.manifest(root, dataset)
    origin = {
        None: spec.source or spec.path,
        "digits": "the handwritten digits that scikit-learn ships",
    }.get(spec.derive, f"derived from `{spec.derive}`")
    counts = ", ".join(f"{split} {count}" for split, count in manifest.get("splits", {}).items())
    lines = [("data set", dataset), ("source", origin), ("images", counts), ("digest", manifest.get("digest"))]
    return table(("", ""), [(name, str(value)) for name, value in lines if value])


def _settings(params: Params, key: Key) -> str:
    """Every parameter of a row, as ``params.yaml`` has it."""
    lines = [(f"`{name}`", value) for name, value in settings(params, key).items()]
    return table(("parameter", "value"), lines)


def _results(nodes: Mapping[Key, Node], root: Path, row: str) -> str:
    lines = []
    for stage in JUDGES:
        if (stage, row) in nodes:
            dataset = _data_of(nodes[stage, row])
            found = records.metrics(root, (stage, row))
            names = [name for name in {**COLUMNS, **found} if name in found]
            lines += [(stage, dataset, COLUMNS.get(name, name), number(found[name], name)) for name in names]
    return "Accuracies, AP and mIoU in percent.\n\n" + table(("stage", "data set", "metric", "value"), lines)
