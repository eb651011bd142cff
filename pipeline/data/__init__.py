"""Data sets: where they lie, what is in them, and the stage that records both (``data``)."""

from pipeline.data.layouts import dataset_root, index_of
from pipeline.data.manifest import check, read_manifest, run

__all__ = ["check", "dataset_root", "index_of", "read_manifest", "run"]
