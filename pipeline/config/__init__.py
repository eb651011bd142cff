"""``params.yaml`` as frozen models: every number that changes a result, validated before anything runs.

A profile is a folder with its own ``params.yaml``: the repository's root is the paper's, the others lie in
``profiles/``. Unknown keys and wrong types are errors that name the key.
"""

from genas.pipeline.config.installed import offered
from genas.pipeline.config.laboratory import (
    LaboratoryParams,
    NasBench201Params,
    NasBench301Params,
    Settings201,
    WalkParams,
)
from genas.pipeline.config.networks import CurvatureParams, DetectParams, RecipeParams, RetrainParams, SegmentParams
from genas.pipeline.config.params import Params, load_params
from genas.pipeline.config.pixels import PixelParams, StreamParams
from genas.pipeline.config.places import (
    CHECKOUT,
    CODE,
    OWN,
    PROFILES,
    REPOSITORY,
    data_root,
    profile_folder,
    profiles,
)
from genas.pipeline.config.rows import DIGITS, LAYOUTS, DataParams, Row
from genas.pipeline.config.search import (
    MEASURES,
    AgreementParams,
    AngleParams,
    EarlyParams,
    EvolutionParams,
    FlatnessParams,
    MeasureParams,
    MetricParams,
    ReplicaParams,
    SearchParams,
    measure_module,
)
from genas.pipeline.config.supernets import Supernet201Params, SupernetParams, TrainingParams

__all__ = [
    "CHECKOUT",
    "CODE",
    "DIGITS",
    "LAYOUTS",
    "MEASURES",
    "OWN",
    "PROFILES",
    "REPOSITORY",
    "AgreementParams",
    "AngleParams",
    "CurvatureParams",
    "DataParams",
    "DetectParams",
    "EarlyParams",
    "EvolutionParams",
    "FlatnessParams",
    "LaboratoryParams",
    "MeasureParams",
    "MetricParams",
    "NasBench201Params",
    "NasBench301Params",
    "Params",
    "PixelParams",
    "RecipeParams",
    "ReplicaParams",
    "RetrainParams",
    "Row",
    "SearchParams",
    "SegmentParams",
    "Settings201",
    "StreamParams",
    "Supernet201Params",
    "SupernetParams",
    "TrainingParams",
    "WalkParams",
    "data_root",
    "load_params",
    "measure_module",
    "offered",
    "profile_folder",
    "profiles",
]
