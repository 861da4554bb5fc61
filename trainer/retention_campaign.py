"""Read the declared costs and offers of a retention campaign from `retention_campaign.yml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakehouse.errors import ChurnError

DECLARED = Path(__file__).with_name("retention_campaign.yml")


@dataclass(frozen=True)
class Offer:
    """An offer of a retention campaign.

    Attributes:
        name: Name of the offer.
        whom: Description of the eligible customers.
        condition: SQL condition of the eligible customers.
        sets: Feature to the SQL expression that the offer sets it to.
        costs: Cost of the offer, as a SQL expression over the features.
        costs_in_words: Description of the cost.
    """

    name: str
    whom: str
    condition: str
    sets: dict[str, str]
    costs: str
    costs_in_words: str


@dataclass(frozen=True)
class Campaign:
    """Costs and offers of a retention campaign.

    Attributes:
        months: Months of revenue that count as saved.
        contact: Cost of one contact.
        kept: Share of the contacted customers about to churn who are retained.
        offers: The offers.
    """

    months: int
    contact: float
    kept: float
    offers: tuple[Offer, ...]

    @property
    def revenue(self) -> str:
        """Return the revenue lost with a churned customer, as SQL over the features."""
        return f"({self.months} * monthly_charges)"


def read_campaign(path: Path = DECLARED) -> Campaign:
    """Return the campaign of the file.

    Raises:
        ChurnError: A value is missing, unknown, or out of its range.
    """
    declared: dict[str, Any] = yaml.safe_load(path.read_text())
    try:
        offers = tuple(
            Offer(
                name=name,
                whom=offer["whom"],
                condition=str(offer["for"]),
                sets={feature: str(value) for feature, value in offer["sets"].items()},
                costs=str(offer["costs"]),
                costs_in_words=str(offer.get("costs_in_words", offer["costs"])),
            )
            for name, offer in declared.pop("offers").items()
        )
        campaign = Campaign(**declared, offers=offers)
        wrong = [
            name
            for name, holds in (
                ("months", campaign.months >= 1),
                ("contact", campaign.contact >= 0),
                ("kept", 0 < campaign.kept <= 1),
            )
            if not holds
        ]
    except (AttributeError, KeyError, TypeError) as fault:
        raise _wrong(path, f"a figure is missing, unknown or no number: {fault}") from fault
    if wrong:
        raise _wrong(path, f"{', '.join(wrong)} out of range")
    return campaign


def _wrong(path: Path, why: str) -> ChurnError:
    return ChurnError(
        f"The campaign's figures can't be used: {why}",
        where=str(path),
        remedy="correct the file; its comments say what each figure is",
    )
