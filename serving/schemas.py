"""Define the bodies of API requests and responses as types, for the code and the OpenAPI page."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from lakehouse.domain import read_domain

MOST_CUSTOMERS = 1000
LONGEST_ID = 100
SENSITIVE = read_domain().features.sensitive_reasons

CustomerId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_ID),
    Field(examples=[read_domain().report.example_id]),
]


def _field(meaning: str, *examples: object, **bounds: Any) -> Any:
    """Return what the API description says of a field: its meaning, examples, bounds."""
    return Field(description=meaning, examples=list(examples) or None, **bounds)


class Reason(TypedDict):
    """A reason for the risk.

    `is_sensitive`: true if the domain declares that neither a customer nor a caller is told this
    reason, because it describes the person: a program must not show it to them.
    """

    feature: Annotated[str, _field("Name of the feature, or of its category", "contract")]
    text: Annotated[str, _field("The reason in words", "month-to-month contract")]
    contribution: Annotated[float, _field("What it adds to the model's log-odds", 0.62)]
    is_sensitive: Annotated[
        bool, _field("Whether it describes the person; then it must not be shown to them", False)
    ]


class Time(TypedDict):
    """When the customer is likely to leave, by the hazard model of `churn evaluate`."""

    risk_within: Annotated[
        dict[str, float],
        _field(
            "Probability of leaving, by the number of months: 1, 3, 6 and 12",
            {"1": 0.31, "12": 0.9},
        ),
    ]
    remaining_months: Annotated[
        float,
        _field("Expected months until the customer leaves, at most `most_months` of campaign.yml"),
    ]
    months_if_kept: Annotated[float, _field("The same for a customer who stays for the next month")]
    reasons: Annotated[
        list[Reason],
        _field("What raises the risk of the next month, the strongest first", max_length=3),
    ]


class Outlook(TypedDict):
    """Time until the customer leaves, and value."""

    time: Annotated[
        Time | None,
        _field(
            "When the customer is likely to leave; null while the model in use has no such part"
        ),
    ]
    value: Annotated[
        float | None,
        _field(
            "What a customer pays in the months that are saved if the customer is kept; null if "
            "it is not a feature times months"
        ),
    ]


class Risk(Outlook):
    """How likely the customer is to leave, and why."""

    probability: Annotated[float, _field("Probability of leaving", 0.634, ge=0, le=1)]
    decile: Annotated[
        int,
        _field(
            "10: the customer is in the tenth of the scored customers with the highest risk",
            9,
            ge=1,
            le=10,
        ),
    ]
    reasons: Annotated[
        list[Reason],
        _field(
            "The strongest reasons first; none if nothing raises the risk by much", max_length=3
        ),
    ]


class Known(TypedDict):
    """The customer, and how old the customer's data is."""

    customer_id: Annotated[
        str, _field("The customer's id in the workbook", read_domain().report.example_id)
    ]
    event_timestamp: Annotated[
        str, _field("The extract's date at 00:00 UTC", "2025-12-03T00:00:00Z")
    ]
    age_days: Annotated[int, _field("Whole days since then", 12)]


ModelVersion = Annotated[
    str, _field("The version of the model that computed the answer", "20251203-1f6e02c4")
]


class Score(Known, Risk):
    """A customer's risk, and the version of the model that it is from."""

    model_version: ModelVersion


class Found(Known, Risk):
    """A customer of a batch, with the risk."""

    found: Annotated[Literal[True], _field("The customer has a score")]


class NotFound(TypedDict):
    """A customer of a batch without a score."""

    customer_id: Annotated[str, _field("The id of the request")]
    found: Annotated[Literal[False], _field("The customer has no score")]
    why: Annotated[
        Literal["unknown", "expired"],
        _field("Not in the latest published extract, or with data that is too old to score"),
    ]


class Batch(TypedDict):
    """Customers to score."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    customer_ids: Annotated[
        list[CustomerId],
        _field(
            "Ids of customers, as in the workbook; one that is named twice is scored twice",
            min_length=1,
            max_length=MOST_CUSTOMERS,
        ),
    ]


class BatchScores(TypedDict):
    """All customers of a batch, scored by one model."""

    model_version: ModelVersion
    customers: Annotated[list[Found | NotFound], _field("One for each id, in the order requested")]


class WhatIf(Known):
    """The risk as it is, and as it would be with the changes."""

    changes: Annotated[dict[str, Any], _field("The values of the request")]
    before: Annotated[Risk, _field("The risk with the customer's own values")]
    after: Annotated[Risk, _field("The risk with the changed values")]
    model_version: ModelVersion


class Health(TypedDict):
    """The health of the service."""

    status: Annotated[Literal["ok"], _field("Always `ok`: anything else is an error")]
    model_version: Annotated[
        str | None,
        _field("The version of the model in use; null before the first one", "20251203-1f6e02c4"),
    ]


def describe_reason(feature: str, text: str, contribution: float) -> Reason:
    """Return a reason for a response, marked if it is sensitive."""
    return {
        "feature": feature,
        "text": text,
        "contribution": contribution,
        "is_sensitive": feature in SENSITIVE,
    }
