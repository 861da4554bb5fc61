"""Read the declared parameters of training from `parameters.yml` and the domain's `model.yml`."""

from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from lakehouse.domain import ProfitTerms, read_domain
from lakehouse.errors import ChurnError, InvalidInputError
from trainer.model_types import KINDS

DECLARED = Path(__file__).with_name("parameters.yml")
# What the domain's model.yml adds.
DOMAIN_PARAMETERS = ("log1p", "slices", "forbidden_features", "accepted_features")
COMPLETE = ConfigDict(extra="forbid")
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=COMPLETE)
class ChampionRule:
    """Bounds that the challenger's mean gain in ROC-AUC over the folds must exceed.

    `race_folds` and `race_gain` are 0 in models of versions that trained it on all folds.
    """

    default: str
    challenger: str
    minimum_gain: float
    standard_errors: float
    race_folds: Annotated[int, Field(ge=0)] = 0
    race_gain: float = 0.0


@dataclass(frozen=True, config=COMPLETE)
class LeakRule:
    """Bounds from which a feature alone is a leak; see `trainer.leakage`."""

    roc_auc: float
    max_positive_share: float
    fewest: int


@dataclass(frozen=True, config=COMPLETE)
class PromotionRule:
    """Conditions for promoting a newly trained model; see `trainer.promotion`."""

    minimum_gain: float
    worst_slice: float
    fewest: int
    minimum_roc_auc: float
    worst_drop: float
    horizon_change: float
    measure: Literal["roc_auc", "profit"] = "roc_auc"
    minimum_profit_gain: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, config=COMPLETE)
class Parameters:
    """Everything that determines a model, except the data."""

    seed: int
    folds: Annotated[int, Field(ge=2)]
    holdout_share: Share
    threshold: Share
    log1p: tuple[str, ...]
    kinds: dict[str, dict[str, int | float]]
    champion: ChampionRule
    leaks: LeakRule
    promotion: PromotionRule
    slices: dict[str, dict[str, str]]
    profit: ProfitTerms
    forbidden_features: tuple[str, ...]
    accepted_features: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_kinds(self) -> Self:
        settings = {name: sorted(kind.settings) for name, kind in KINDS.items()}
        if {name: sorted(given) for name, given in self.kinds.items()} != settings:
            raise ValueError(f"the kinds and their settings are {settings}")
        if self.champion.default == self.champion.challenger or not KINDS.keys() >= {
            *self.candidates
        }:
            raise ValueError(f"default and challenger must be two of {', '.join(KINDS)}")
        if self.champion.race_folds >= self.folds:
            raise ValueError("race_folds must be lower than folds")
        return self

    @property
    def candidates(self) -> tuple[str, str]:
        """Return the model types that a run compares."""
        return self.champion.default, self.champion.challenger

    def with_settings(self, kind: str, **settings: float) -> "Parameters":
        """Return a copy in which some settings of one model type are replaced."""
        return replace(self, kinds={**self.kinds, kind: {**self.kinds[kind], **settings}})

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as JSON types, for the record and the version's hash.

        The rules on leaks and promotion, the slices and the terms of the profit are omitted: they
        do not determine a model.
        """
        fields = asdict(self)
        fields |= fields.pop("kinds")
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
            if name not in ("leaks", "promotion", "slices", "profit", "accepted_features")
        }


def read_parameters(path: Path = DECLARED, domain: Path | None = None) -> Parameters:
    """Return the parameters of the file, and what the domain adds to them.

    Raises:
        ChurnError: A parameter is missing, unknown, or out of its range.
    """
    selected = read_domain(domain)
    added = {name: getattr(selected.model, name) for name in DOMAIN_PARAMETERS}
    added["profit"] = selected.campaign.profit_terms
    try:
        return TypeAdapter(Parameters).validate_python(
            {**yaml.safe_load(path.read_text()), **added}
        )
    except ValidationError as error:
        raise ChurnError(
            f"The training parameters can't be used: {error}",
            where=str(path),
            hint="correct the file; its comments say what each parameter is",
        ) from error


def parameters_of_record(shown: dict[str, Any], declared: Parameters) -> Parameters:
    """Return the parameters of a version's record, with the rules that are declared now.

    Raises:
        KeyError, ValidationError: The record has other parameters than there are now.
    """
    stored = {name: value for name, value in shown.items() if name not in KINDS}
    kinds = {kind: shown[kind] for kind in KINDS}
    return TypeAdapter(Parameters).validate_python({**asdict(declared), **stored, "kinds": kinds})


def check_features(features: list[str], parameters: Parameters) -> None:
    """Raise an error if the features reveal the label or are incomplete.

    Raises:
        InvalidInputError: A name is forbidden, or a feature that an input derives from is missing.
    """
    leaks = [
        name
        for name in features
        if any(fnmatchcase(name.lower(), pattern) for pattern in parameters.forbidden_features)
    ]
    if leaks:
        raise InvalidInputError(
            f"The training set would leak: {', '.join(leaks)} may not be a feature",
            where="the feature service, against forbidden_features of the domain's model.yml",
            hint="take the column out of the features; a label belongs to gold.churn_labels",
        )
    missing = [name for name in parameters.log1p if name not in features]
    if missing:
        raise InvalidInputError(
            f"The model derives inputs from {', '.join(missing)}, which the training set lacks",
            where="the feature service, against log1p of the domain's model.yml",
            hint="add the feature, or take it out of log1p",
        )
