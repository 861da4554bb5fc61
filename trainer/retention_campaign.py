"""The costs and offers of a retention campaign, which the domain's campaign.yml declares."""

from dataclasses import dataclass
from pathlib import Path

from lakehouse.domain import Offer, read_domain


@dataclass(frozen=True)
class Campaign:
    """Costs and offers of a retention campaign.

    Attributes:
        monthly_value: What a customer brings per month, as SQL over the features; None if the
            domain does not declare it.
        months: Months of revenue that count as saved.
        contact_cost: Cost of one contact.
        retention_rate: Share of the contacted customers about to churn who are retained.
        offers: The offers by name.
    """

    monthly_value: str | None
    months: int
    contact_cost: float
    retention_rate: float
    offers: dict[str, Offer]

    @property
    def revenue(self) -> str | None:
        """Return the revenue lost with a churned customer, as SQL over the features."""
        return f"({self.months} * {self.monthly_value})" if self.monthly_value else None


def read_campaign(domain: Path | None = None) -> Campaign:
    """Return the campaign of a domain, by default of the selected one.

    Raises:
        ChurnError: A value is missing, unknown, or out of its range.
    """
    declared = read_domain(domain).campaign
    return Campaign(
        declared.monthly_value,
        declared.months,
        declared.contact_cost,
        declared.retention_rate,
        declared.offers,
    )
