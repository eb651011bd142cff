"""Which stages there are: the table of them, and the graph of a profile that follows from it."""

from genas.pipeline.stages.stage import Axes, Key, Stage
from genas.pipeline.stages.table import STAGES, folder_of, rows_of

__all__ = ["STAGES", "Axes", "Key", "Stage", "folder_of", "rows_of"]
