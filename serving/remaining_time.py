"""Compute when and why a customer is likely to leave, and the customer's value, without Spark."""

from collections.abc import Mapping, Sequence

from serving import schemas
from serving.derived_features import Value
from trainer.explain import SMALLEST, TOP
from trainer.hazard_model import HazardModel, TimeAnswer, answer
from trainer.portable_model import add_derived_inputs
from trainer.reason_texts import Reason, reasons_for
from trainer.record import ModelRecord
from trainer.retention_campaign import Campaign


class RemainingTime:
    """The hazard model of a version, if it has one, and the campaign that declares the value."""

    def __init__(
        self,
        model: HazardModel | None,
        record: ModelRecord,
        declared: Sequence[Reason],
        campaign: Campaign,
    ) -> None:
        """Prepare a version."""
        self._model = model
        self._log1p: tuple[str, ...] = tuple(record.parameters["log1p"])
        self._campaign = campaign
        # An expression over several features would have to be computed by a database.
        name = (campaign.monthly_value or "").strip("` ")
        self._monthly = name if name in record.features else None
        names = dict.fromkeys(
            [*model.inputs, *([model.clock] if model.clock else [])] if model else []
        )
        self._reasons = reasons_for(list(names), declared)
        self._groups = {
            name: place for place, reason in enumerate(self._reasons) for name in reason.inputs
        }

    def describe(self, features: Mapping[str, Value]) -> schemas.Outlook:
        """Return time and value of a customer; each is null if nothing is known about it.

        Raises:
            ValueError, ArithmeticError: The result for these features can't be computed.
        """
        months = float(self._campaign.months)
        time: schemas.Time | None = None
        if self._model is not None:
            inputs = add_derived_inputs(features, self._log1p)
            found = answer(self._model, inputs, self._campaign.most_months)
            months, time = found.months_if_kept, self._format(self._model, found, inputs, features)
        value = float(features[self._monthly]) * months if self._monthly else None
        return {"time": time, "value": value}

    def _format(
        self,
        model: HazardModel,
        found: TimeAnswer,
        inputs: Mapping[str, float],
        features: Mapping[str, Value],
    ) -> schemas.Time:
        moved = model.contributions(inputs, self._groups, 1)
        pairs = zip(moved, self._reasons, strict=True)
        raising = sorted(
            ((each, reason) for each, reason in pairs if each >= SMALLEST),
            key=lambda pair: (-pair[0], pair[1].feature),
        )
        return {
            "risk_within": {str(months): risk for months, risk in found.risk_within.items()},
            "remaining_months": found.remaining_months,
            "months_if_kept": found.months_if_kept,
            "reasons": [
                schemas.describe_reason(reason.feature, reason.text.render(features), each)
                for each, reason in raising[:TOP]
            ],
        }
