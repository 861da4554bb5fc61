"""Read the declared parameters of training from `parameters.yml`."""

from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from lakehouse.errors import ChurnError, InvalidInputError
from trainer.model_types import KINDS

DECLARED = Path(__file__).with_name("parameters.yml")


@dataclass(frozen=True)
class ChampionRule:
    """Bounds that the challenger's mean gain in ROC-AUC over the folds must exceed."""

    default: str
    challenger: str
    minimum_gain: float
    standard_errors: float


@dataclass(frozen=True)
class LeakRule:
    """Bounds from which a feature alone is a leak; see `trainer.leakage`."""

    roc_auc: float
    purest: float
    fewest: int


@dataclass(frozen=True)
class PromotionRule:
    """Conditions for promoting a newly trained model; see `trainer.promotion`."""

    minimum_gain: float
    worst_slice: float
    fewest: int
    minimum_roc_auc: float
    worst_drop: float
    horizon_change: float


@dataclass(frozen=True)
class Parameters:
    """Everything that determines a model, except the data."""

    seed: int
    folds: int
    holdout_share: float
    threshold: float
    log1p: tuple[str, ...]
    kinds: dict[str, dict[str, float]]
    champion: ChampionRule
    leaks: LeakRule
    promotion: PromotionRule
    slices: dict[str, dict[str, str]]
    forbidden_features: tuple[str, ...]

    @property
    def rivals(self) -> tuple[str, str]:
        """Return the model types that a run compares."""
        return self.champion.default, self.champion.challenger

    def with_settings(self, kind: str, **settings: float) -> "Parameters":
        """Return a copy in which some settings of one model type are replaced."""
        return replace(self, kinds={**self.kinds, kind: {**self.kinds[kind], **settings}})

    def shown(self) -> dict[str, Any]:
        """Return the parameters as JSON types, for the record and the version's hash.

        The rules on leaks and promotion, and the slices, are omitted: they do not determine a
        model.
        """
        shown = asdict(self)
        shown |= shown.pop("kinds")
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in shown.items()
            if name not in ("leaks", "promotion", "slices")
        }


def read_parameters(path: Path = DECLARED) -> Parameters:
    """Return the parameters of the file.

    Raises:
        ChurnError: A parameter is missing, unknown, or out of its range.
    """
    declared = yaml.safe_load(path.read_text())
    try:
        parameters = Parameters(
            kinds=_settings(declared.pop("kinds")),
            champion=ChampionRule(**declared.pop("champion")),
            leaks=LeakRule(**declared.pop("leaks")),
            promotion=PromotionRule(**declared.pop("promotion")),
            log1p=tuple(declared.pop("log1p")),
            forbidden_features=tuple(declared.pop("forbidden_features")),
            **declared,
        )
    except (AttributeError, KeyError, TypeError) as fault:
        raise _wrong(path, f"a parameter is missing or unknown: {fault}") from fault
    _check(parameters, path)
    return parameters


def recipe(shown: dict[str, Any], declared: Parameters) -> Parameters:
    """Return the parameters of a version's record, with the rules that are declared now.

    Raises:
        KeyError, TypeError: The record has other parameters than there are now.
    """
    return replace(
        declared,
        **{
            **{name: value for name, value in shown.items() if name not in KINDS},
            "log1p": tuple(shown["log1p"]),
            "forbidden_features": tuple(shown["forbidden_features"]),
            "kinds": _settings({kind: shown[kind] for kind in KINDS}),
            "champion": ChampionRule(**shown["champion"]),
        },
    )


def _settings(kinds: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the settings of the model types, after validating their names.

    Raises:
        KeyError: A model type or a setting is missing or unknown.
    """
    if kinds.keys() != KINDS.keys():
        raise KeyError(f"the kinds are {', '.join(KINDS)}")
    for name, kind in KINDS.items():
        if kinds[name].keys() != set(kind.settings):
            raise KeyError(f"the settings of {name} are {', '.join(kind.settings)}")
    return kinds


def _check(parameters: Parameters, path: Path) -> None:
    rule = parameters.champion
    if parameters.folds < 2:
        raise _wrong(path, f"folds is {parameters.folds}, at least 2 are needed")
    for name in ("holdout_share", "threshold"):
        if not 0 < getattr(parameters, name) < 1:
            raise _wrong(path, f"{name} is {getattr(parameters, name)}, not between 0 and 1")
    if rule.default == rule.challenger or not {rule.default, rule.challenger} <= KINDS.keys():
        raise _wrong(path, f"champion.default and .challenger must be two of {', '.join(KINDS)}")


def _wrong(path: Path, why: str) -> ChurnError:
    return ChurnError(
        f"The training parameters can't be used: {why}",
        where=str(path),
        remedy="correct the file; its comments say what each parameter is",
    )


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
            where="the feature service, against forbidden_features of trainer/parameters.yml",
            remedy="take the column out of the features; a label belongs to gold.churn_labels",
        )
    missing = [name for name in parameters.log1p if name not in features]
    if missing:
        raise InvalidInputError(
            f"The model derives inputs from {', '.join(missing)}, which the training set lacks",
            where="the feature service, against log1p of trainer/parameters.yml",
            remedy="add the feature, or take it out of log1p",
        )
