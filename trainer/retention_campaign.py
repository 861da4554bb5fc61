"""Read the declared costs and offers of a retention campaign from `retention_campaign.yml`."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lakehouse.errors import ChurnError

DECLARED = Path(__file__).with_name("retention_campaign.yml")
# SQL may be a plain number.
COMPLETE = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


@dataclass(frozen=True, config=COMPLETE)
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
    eligibility: str
    condition: str
    sets: dict[str, str]
    costs: str
    costs_in_words: str


@dataclass(frozen=True, config=COMPLETE)
class Campaign:
    """Costs and offers of a retention campaign.

    Attributes:
        months: Months of revenue that count as saved.
        contact: Cost of one contact.
        kept: Share of the contacted customers about to churn who are retained.
        offers: The offers.
    """

    months: Annotated[int, Field(ge=1)]
    contact_cost: Annotated[float, Field(ge=0)]
    retention_rate: Annotated[float, Field(gt=0, le=1)]
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
        offers = [
            {"condition": offer.pop("for"), "costs_in_words": offer["costs"], **offer, "name": name}
            for name, offer in declared["offers"].items()
        ]
        return TypeAdapter(Campaign).validate_python({**declared, "offers": offers})
    except (AttributeError, KeyError, TypeError, ValidationError) as error:
        raise ChurnError(
            f"The campaign's figures can't be used: {error}",
            where=str(path),
            hint="correct the file; its comments say what each figure is",
        ) from error
