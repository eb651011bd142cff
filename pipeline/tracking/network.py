"""A retrained network as MLflow's models have it: what is logged of it, and how ``mlflow.pyfunc`` loads it.

Weights stay where DVC keeps them. A logged model holds a link: the profile's folder, the file in it, and the MD5 digest
by which DVC knows it. Loading takes the file if it still has that digest, else the object in DVC's cache; nothing is
ever unpickled. This module is the flavour's ``loader_module``, and knows no MLflow.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.config import REPOSITORY

if TYPE_CHECKING:
    import pandas as pd

LINK = "weights.json"
"""The file of a logged model that says where its weights are."""


@dataclass(frozen=True)
class Link:
    """Where weights are.

    Attributes:
        profile: the profile's folder, from the repository's where it lies inside.
        path: of the weights, from the profile's folder.
        md5: of their bytes, as ``dvc.lock`` says it.
    """

    profile: str
    path: str
    md5: str

    @classmethod
    def to(cls, root: Path, path: Path) -> Link:
        """The link to a file of the profile in ``root``."""
        folder = root.resolve()
        inside = folder.relative_to(REPOSITORY) if folder.is_relative_to(REPOSITORY) else folder
        return cls(str(inside), str(path.relative_to(root)), digest(path))

    def resolved(self) -> Path:
        """The file that has the digest.

        Raises:
            GenasError: it is neither in its place nor in DVC's cache.
        """
        root = REPOSITORY / self.profile
        if (root / self.path).exists() and digest(root / self.path) == self.md5:
            return root / self.path
        cached = _cached(root, self.md5)
        if cached is None or not cached.exists() or digest(cached) != self.md5:
            raise GenasError(
                f"{root / self.path}: weights with the digest {self.md5} are neither there nor in DVC's cache, "
                f"expected what dvc pull or a run of that commit leaves"
            )
        return cached


def digest(path: Path) -> str:
    """The MD5 digest of a file's bytes, by which DVC names it: 32 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _cached(root: Path, md5: str) -> Path | None:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local.oid_to_path(md5))
    except NotDvcRepoError:
        return None


class Classifier:
    """A network that takes encoded images; prepares their pixels as its weights file says."""

    def __init__(self, weights: Path) -> None:
        from genas.models.networks.files.checkpoint import load_network, read_header
        from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform

        header = read_header(weights)
        self.network = load_network(weights)
        self.transform = evaluation_transform(header.preprocessing)
        self.classes = [name or str(i) for i, name in enumerate(header.classes)]

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """For a column ``image`` of n encoded images, ``label`` (text) and ``probability`` in [0, 1] of each."""
        import pandas as pd
        import torch

        pixels = [self.transform(Image.open(io.BytesIO(image)).convert("RGB")) for image in model_input["image"]]
        with torch.no_grad():
            probability, label = self.network(torch.stack(pixels)).softmax(1).max(1)
        return pd.DataFrame({"label": [self.classes[i] for i in label.tolist()], "probability": probability.tolist()})


def _load_pyfunc(path: str) -> Classifier:
    """What MLflow calls with the folder of the logged model's data.

    Raises:
        GenasError: as :meth:`Link.resolved`, or the weights file is broken.
    """
    return Classifier(Link(**json.loads((Path(path) / LINK).read_text())).resolved())


def example(size: int) -> bytes:
    """A plain grey image of ``size`` pixels as PNG: an input that everybody may have."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), "grey").save(stream, format="png")
    return stream.getvalue()
