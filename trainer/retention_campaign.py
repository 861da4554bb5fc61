"""The declared costs and offers of a retention campaign, read from `retention_campaign.yml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakehouse.errors import ChurnError

DECLARED = Path(__file__).with_name("retention_campaign.yml")


@dataclass(frozen=True)
class Offer:
    """To whom it can be made (in words, and as a condition), what it sets, what it costs.

    `sets` is feature to expression; so is `costs` one, over the features.
    """

    name: str
    whom: str
    condition: str
    sets: dict[str, str]
    costs: str
    costs_in_words: str


@dataclass(frozen=True)
class Campaign:
    """Months of revenue that count as saved, the cost of a contact, the share kept, the offers."""

    months: int
    contact: float
    kept: float
    offers: tuple[Offer, ...]

    @property
    def revenue(self) -> str:
        """What a leaver takes along, as an expression over the features."""
        return f"({self.months} * monthly_charges)"


def read_campaign(path: Path = DECLARED) -> Campaign:
    """The campaign of the file.

    Raises:
        ChurnError: a figure is missing, unknown, or out of its range.
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
