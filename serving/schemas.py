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


class Reason(TypedDict):
    """What raises the risk: its text, and what it adds to the model's log-odds.

    `is_sensitive`: true if the domain declares that neither a customer nor a caller is told this
    reason, because it describes the person: a program must not show it to them.
    """

    feature: Annotated[str, Field(examples=["contract"])]
    text: Annotated[str, Field(examples=["month-to-month contract"])]
    contribution: Annotated[float, Field(examples=[0.62])]
    is_sensitive: Annotated[bool, Field(examples=[False])]


class Time(TypedDict):
    """When the customer is likely to leave, by the hazard model of `churn evaluate`.

    `risk_within`: probability of leaving within 1, 3, 6 and 12 months. `remaining_months`: expected
    months that the customer stays, and `months_if_kept` those of one who stays for the next month;
    both at most `most_months` of the domain's campaign.yml. `reasons`: what raises the risk of the
    next month, at most three.
    """

    risk_within: dict[str, float]
    remaining_months: float
    months_if_kept: float
    reasons: Annotated[list[Reason], Field(max_length=3)]


class Outlook(TypedDict):
    """Time until the customer leaves, and value.

    `time`: null while the champion has no hazard model. `value`: what a customer pays in the months
    that are saved if the customer is kept; null if it is not a feature times months.
    """

    time: Time | None
    value: float | None


class Risk(Outlook):
    """How likely the customer is to leave, and why.

    `decile`: 10 is the tenth of the scored customers with the highest risk. `reasons`: at most
    three, the strongest first; none if nothing raises the risk by much.
    """

    probability: Annotated[float, Field(ge=0, le=1, examples=[0.634])]
    decile: Annotated[int, Field(ge=1, le=10, examples=[9])]
    reasons: Annotated[list[Reason], Field(max_length=3)]


class Known(TypedDict):
    """The customer, and how old the customer's data is.

    `event_timestamp`: the extract's date at 00:00 UTC. `age_days`: whole days since then.
    """

    customer_id: Annotated[str, Field(examples=[read_domain().report.example_id])]
    event_timestamp: Annotated[str, Field(examples=["2025-12-03T00:00:00Z"])]
    age_days: Annotated[int, Field(examples=[12])]


class Score(Known, Risk):
    """A customer's risk, and the version of the model that it is from."""

    model_version: Annotated[str, Field(examples=["20251203-1f6e02c4"])]


class Found(Known, Risk):
    """A customer of a batch, with the risk."""

    found: Literal[True]


class NotFound(TypedDict):
    """A customer of a batch without a score: not online, or with data that is too old."""

    customer_id: str
    found: Literal[False]
    why: Literal["unknown", "expired"]


class Batch(TypedDict):
    """Customers to score; each is scored once for each time that it is named."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    customer_ids: Annotated[list[CustomerId], Field(min_length=1, max_length=MOST_CUSTOMERS)]


class BatchScores(TypedDict):
    """All customers of a batch, in the order requested, scored by one model."""

    model_version: str
    customers: list[Found | NotFound]


class WhatIf(Known):
    """The risk as it is, and as it would be with the changes."""

    changes: dict[str, Any]
    before: Risk
    after: Risk
    model_version: str


class Health(TypedDict):
    """The health of the service, and the version of the model in use; null before the first one."""

    status: Literal["ok"]
    model_version: str | None


def describe_reason(feature: str, text: str, contribution: float) -> Reason:
    """Return a reason for a response, marked if it is sensitive."""
    return {
        "feature": feature,
        "text": text,
        "contribution": contribution,
        "is_sensitive": feature in SENSITIVE,
    }
