"""A path of the supernet in C: ``blocks.c``, compiled at first use, behind the functions of :mod:`models.folded`."""

from models.native.build import load
from models.native.path import Folded, calibrate, run_path

__all__ = ["Folded", "calibrate", "load", "run_path"]
