"""Compute a customer's features with other source values, and all features that follow from them.

The source contract of `dbt_project.yml` declares which values exist, and `derived_features` what
follows from them; a test compares the result with that of dbt's SQL for the same values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from lakehouse.variables import DECLARED, read_variables
from serving.derived_features import DerivedFeatures, Value
from serving.errors import ProblemError

ADD_ONS = (
    "online_security",
    "online_backup",
    "device_protection",
    "tech_support",
    "streaming_tv",
    "streaming_movies",
)
# What a retention team can offer or request. Phone lines and the kind of internet access are other
# products, with prices of their own.
CHOSEN = ("contract", "payment_method", *ADD_ONS)
SWITCHED = ("paperless_billing",)
PRICE = "monthly_charges"
# A customer with this feature has no add-ons.
NO_INTERNET = "internet_service_no"

Changes = Mapping[str, str | float]


@dataclass(frozen=True)
class Contract:
    """The part of the declarations that is used here.

    Attributes:
        groups: For each category, its one-hot features by value.
        price: The range of the price.
        derived: The derived features.
    """

    groups: dict[str, dict[str, str]]
    price: tuple[float, float]
    derived: DerivedFeatures

    @property
    def required_features(self) -> tuple[str, ...]:
        """Return the features that `apply_changes` requires."""
        return (*self.derived.inputs, PRICE, NO_INTERNET)


@cache
def read_contract(path: Path = DECLARED) -> Contract:
    """Return the contract, by silver's names."""
    variables = read_variables(path)
    rules = {rule["name"]: rule for rule in variables["source_contract"].values()}
    groups = {
        name: {value: f"{name}_{_snake_case(value)}" for value in rule["categories"]}
        for name, rule in rules.items()
        if rule["type"] == "category"
    }
    low, high = rules[PRICE]["range"]
    derived = DerivedFeatures(variables["derived_features"], groups)
    return Contract(groups, (float(low), float(high)), derived)


def _snake_case(text: str) -> str:
    """Return the text in snake case, as the macro of that name does."""
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")


def changes_type(contract: Contract) -> Any:
    """Return the type of a what-if request's body: the values that may change, as in the source.

    All of them are optional. "No internet service" is not an add-on's value: it belongs to another
    product.
    """
    fields: dict[str, Any] = {
        name: Literal[tuple(v for v in contract.groups[name] if v != "No internet service")]
        for name in CHOSEN
    }
    fields |= dict.fromkeys(SWITCHED, Literal["Yes", "No"])
    low, high = contract.price
    fields[PRICE] = Annotated[
        float,
        Field(ge=low, le=high, strict=True, allow_inf_nan=False, description="a month's price"),
    ]
    body = TypedDict("Changes", fields, total=False)  # type: ignore[misc]
    body.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return body


def apply_changes(
    features: Mapping[str, Value], changes: Changes, contract: Contract
) -> dict[str, Value]:
    """Return the features after the changes; those that neither change nor follow stay as they are.

    Raises:
        ProblemError: There is no change, or an add-on is for a customer without internet access.
    """
    if not changes:
        raise ProblemError(
            422,
            "nothing-changed",
            "The request changes nothing",
            where="body",
            hint=f"give at least one of {', '.join((PRICE, *CHOSEN, *SWITCHED))}",
        )
    unfit = [name for name in ADD_ONS if name in changes]
    if unfit and features[NO_INTERNET] == 1:
        raise ProblemError(
            409,
            "no-internet-service",
            "The customer has no internet service, so no add-on to it can change",
            where=", ".join(f"body.{name}" for name in unfit),
            hint="leave the add-ons out",
        )
    after = dict(features)
    for name, value in changes.items():
        if name == PRICE:
            after[name] = float(value)
        elif name in contract.groups:
            for category, feature in contract.groups[name].items():
                after[feature] = int(category == value)
        else:
            after[name] = int(value == "Yes")
    return {**after, **contract.derived.compute(after)}
