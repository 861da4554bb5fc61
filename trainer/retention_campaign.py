"""The costs, offers and effect of a retention campaign, as the domain's campaign.yml declares."""

from dataclasses import dataclass
from pathlib import Path

from lakehouse.domain import Offer, read_domain


@dataclass(frozen=True)
class Effect:
    """Share of the contacted customers about to churn who stay because of it.

    Attributes:
        value: The share, 0 to 1.
        low: Its lowest plausible value.
        high: Its highest plausible value.
        source: Where it is from, for people.
    """

    value: float
    low: float
    high: float
    source: str = "assumed in campaign.yml"


@dataclass(frozen=True)
class Campaign:
    """Costs and offers of a retention campaign.

    Attributes:
        monthly_value: What a customer brings per month, as SQL over the features; None if the
            domain does not declare it.
        months: Months of revenue that count as saved.
        contact_cost: Cost of one contact.
        effect: What a contact with an offer achieves.
        offers: The offers by name.
        currency: The sign in front of amounts; empty if the domain does not declare it.
    """

    monthly_value: str | None
    months: int
    contact_cost: float
    effect: Effect
    offers: dict[str, Offer]
    currency: str = ""

    @property
    def revenue(self) -> str | None:
        """Return the revenue lost with a churned customer, as SQL over the features."""
        return f"({self.months} * {self.monthly_value})" if self.monthly_value else None

    def format_amount(self, amount: float, decimals: int = 0) -> str:
        """Return an amount with the domain's currency; a minus precedes both."""
        return f"{'−' if amount < 0 else ''}{self.currency}{abs(amount):,.{decimals}f}"


def read_campaign(domain: Path | None = None) -> Campaign:
    """Return the campaign of a domain, by default of the selected one.

    Raises:
        ChurnError: A value is missing, unknown, or out of its range.
    """
    selected = read_domain(domain)
    declared = selected.campaign
    rate = declared.retention_rate
    low, high = declared.retention_rate_range or (rate / 2, min(1.0, rate * 1.5))
    return Campaign(
        declared.monthly_value,
        declared.months,
        declared.contact_cost,
        Effect(rate, low, high),
        declared.offers,
        selected.report.currency,
    )
