"""The costs, offers and effect of a retention campaign, as the domain's campaign.yml declares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lakehouse.amounts import format_amount
from lakehouse.domain import Offer, read_domain
from trainer.hazard_model import HazardModel, write_months_sql

# Source of an effect that was not measured.
ASSUMED = "assumed, not measured yet"


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
    source: str = ASSUMED

    @property
    def is_assumed(self) -> bool:
        """Return whether no campaign has measured it; an older record may word this otherwise."""
        return self.source.startswith("assumed")


@dataclass(frozen=True)
class Measurement:
    """Measured share of the contacted leavers who stayed, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Campaign:
    """Costs and offers of a retention campaign.

    Attributes:
        monthly_value: What a customer brings per month, as SQL over the features; None if the
            domain does not declare it.
        months: Months of revenue that count as saved, without a model of the remaining time.
        contact_cost: Cost of one contact.
        effect: What a contact with an offer achieves.
        offers: The offers by name.
        currency: The sign in front of amounts; empty if the domain does not declare it.
        most_months: Highest number of months that count as saved with such a model.
        expected_months: Months of revenue that count as saved, as SQL over the features; None
            without such a model.
    """

    monthly_value: str | None
    months: int
    contact_cost: float
    effect: Effect
    offers: dict[str, Offer]
    currency: str = ""
    most_months: int = 24
    expected_months: str | None = None

    @property
    def revenue(self) -> str | None:
        """Return the revenue lost with a churned customer, as SQL over the features."""
        months = self.expected_months or self.months
        return f"({months} * {self.monthly_value})" if self.monthly_value else None

    def with_hazard(self, model: HazardModel | None, derived: Mapping[str, str]) -> "Campaign":
        """Return the campaign with the months that a kept customer stays, if there is a model.

        Args:
            model: The hazard model of the champion.
            derived: Inputs that the pipeline adds, as name to SQL expression.
        """
        if model is None:
            return self
        sql = write_months_sql(model, lambda name: derived.get(name, f"`{name}`"), self.most_months)
        return replace(self, expected_months=sql)

    def with_measured(self, measurements: Sequence[Measurement]) -> "Campaign":
        """Return the campaign with the effect that closed campaigns have shown, if any."""
        return replace(self, effect=shrink_effect(self.effect, measurements))

    def format_amount(self, amount: float, decimals: int = 0) -> str:
        """Return an amount with the domain's currency; a minus precedes both."""
        return format_amount(amount, self.currency, decimals)

    def format_price(self, amount: float) -> str:
        """Return an amount with the domain's currency, and cents only if it has any."""
        return self.format_amount(amount, 0 if round(amount, 2).is_integer() else 2)


def shrink_effect(assumed: Effect, measurements: Sequence[Measurement]) -> Effect:
    """Return the measured effect, shrunk towards the assumed one while data are few.

    Both are weighted by their precision: the assumed range counts as an interval of 95 %, as those
    of the measurements do.
    """
    if not measurements:
        return assumed
    values = [assumed.value, *(each.value for each in measurements)]
    widths = [assumed.high - assumed.low, *(each.high - each.low for each in measurements)]
    weights = [1 / max(width, 1e-6) ** 2 for width in widths]
    value = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    half = 0.5 / sum(weights) ** 0.5
    low, middle, high = (min(max(each, 0.0), 1.0) for each in (value - half, value, value + half))
    count = len(measurements)
    measured = f"measured in {count} campaign{'' if count == 1 else 's'}"
    # An effect of 0 lists no customer; what was measured may be below it.
    return Effect(
        max(middle, 0.001), low, high, f"{measured}, and {assumed.value:.0%} assumed before"
    )


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
        declared.most_months,
    )
