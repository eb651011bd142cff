"""A path of the supernet in C: ``blocks.c``, compiled at first use, behind the functions of
:mod:`genas.models.fast.folded`."""

from genas.models.fast.native.path import Folded, calibrate, require, run_path

__all__ = ["Folded", "calibrate", "require", "run_path"]
