"""Compute a customer's features with other source values, and all features that follow from them.

The domain's contract declares which values exist, its `derived_features` what follows from them,
and its report.yml which of them a client may change. A test compares the result with that of dbt's
SQL for the same values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from lakehouse.dbt_project import snake_case
from lakehouse.domain import SourceColumn, WhatIf, read_domain
from serving.derived_features import DerivedFeatures, Value
from serving.errors import ProblemError

Changes = Mapping[str, str | float]


@dataclass(frozen=True)
class Contract:
    """The part of the declarations that is used here.

    Attributes:
        columns: The source columns by silver's name.
        groups: For each category, its one-hot features by value.
        allowed: What a client may change.
        derived: The derived features.
    """

    columns: dict[str, SourceColumn]
    groups: dict[str, dict[str, str]]
    allowed: WhatIf
    derived: DerivedFeatures

    @property
    def required_features(self) -> tuple[str, ...]:
        """Return the features that `apply_changes` requires."""
        return (*self.derived.inputs, *self.allowed.numbers, *self.allowed.without)


@cache
def read_contract(folder: Path | None = None) -> Contract:
    """Return the contract of a domain, by default of the selected one."""
    domain = read_domain(folder)
    columns = {column.name: column for column in domain.contract.columns.values()}
    groups = {
        name: {value: f"{name}_{snake_case(value)}" for value in column.categories}
        for name, column in columns.items()
        if column.type == "category"
    }
    derived = DerivedFeatures(domain.features.derived_features, groups)
    return Contract(columns, groups, domain.report.what_if, derived)


def changes_type(contract: Contract) -> Any:
    """Return the type of a what-if request's body: the values that may change, as in the source.

    All of them are optional.
    """
    fields: dict[str, Any] = {}
    for name in contract.allowed.choices:
        column = contract.columns[name]
        values = column.categories or (column.true_values[0], column.false_values[0])
        choices: Any = Literal[tuple(v for v in values if v not in contract.allowed.excluded)]
        fields[name] = Annotated[choices, Field(description=column.description)]
    for name in contract.allowed.numbers:
        low, high = contract.columns[name].range or (None, None)
        fields[name] = Annotated[
            float,
            Field(
                ge=low,
                le=high,
                strict=True,
                allow_inf_nan=False,
                description=contract.columns[name].description,
            ),
        ]
    body = TypedDict("Changes", fields, total=False)  # type: ignore[misc]
    body.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return body


def apply_changes(
    features: Mapping[str, Value], changes: Changes, contract: Contract
) -> dict[str, Value]:
    """Return the features after the changes; those that neither change nor follow stay as they are.

    Raises:
        ProblemError: There is no change, or one does not apply to this customer.
    """
    allowed = contract.allowed
    if not changes:
        raise ProblemError(
            422,
            "nothing-changed",
            "The request changes nothing",
            where="body",
            hint=f"give at least one of {', '.join((*allowed.numbers, *allowed.choices))}",
        )
    for feature, columns in allowed.without.items():
        unfit = [name for name in columns if name in changes]
        if unfit and features[feature] == 1:
            raise ProblemError(
                409,
                allowed.problem,
                allowed.message,
                where=f"body: {', '.join(unfit)}",
                hint=f"leave {', '.join(unfit)} out",
            )
    after = dict(features)
    for name, value in changes.items():
        if name in contract.groups:
            for category, feature in contract.groups[name].items():
                after[feature] = int(category == value)
        elif contract.columns[name].type == "flag":
            after[name] = int(value == contract.columns[name].true_values[0])
        else:
            after[name] = float(value)
    return {**after, **contract.derived.compute(after)}
