"""Render the reasons that the domain declares, which describe a model's inputs to people.

The batch renders them in SQL and the scoring API in Python. Both use the same declaration; a test
verifies for every customer that Spark and Python format numbers identically.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Protocol

from lakehouse.domain import ReasonTerms, read_domain
from lakehouse.sql import literal

# Placeholder of the number in a sentence.
PLACEHOLDER = "{}"

Features = Mapping[str, int | float]


class ReasonText(Protocol):
    """Text for a customer, rendered from the features."""

    def sql(self) -> str:
        """Return the text as a SQL expression over the features."""

    def render(self, features: Features) -> str:
        """Return the text for these features."""


@dataclass(frozen=True)
class FlagTemplate:
    """Text of the first flag that is 1; `otherwise` if none is."""

    texts: dict[str, str]
    otherwise: str

    def sql(self) -> str:
        """Return the text as a SQL expression over the features."""
        cases = " ".join(
            f"when `{name}` = 1 then {literal(text)}" for name, text in self.texts.items()
        )
        return f"case {cases} else {literal(self.otherwise)} end"

    def render(self, features: Features) -> str:
        """Return the text for these features."""
        for name, text in self.texts.items():
            if features[name] == 1:
                return text
        return self.otherwise


@dataclass(frozen=True)
class NumberFormat:
    """Format of a number, in SQL and in Python.

    Attributes:
        value: SQL expression for the number to format, from `{feature}`.
        text: SQL expression for the formatted number, from `{value}`.
        format: The Python equivalent of `text`.
        read: The Python equivalent of `value`.
    """

    value: str
    text: str
    format: Callable[[float], str]
    read: Callable[[float], float] = float


def _percent(ratio: float) -> float:
    """Return the rounded percentage by which a ratio is above or below 1."""
    # As in Spark's round: the printed decimal number is rounded, and a half away from zero.
    return float(Decimal(repr((ratio - 1) * 100)).quantize(Decimal(1), ROUND_HALF_UP))


NUMBERS = {
    "whole": NumberFormat("`{feature}`", "cast({value} as int)", lambda value: str(int(value))),
    # A half is rounded to the even digit, in Spark as in Python.
    "amount": NumberFormat("`{feature}`", "format_number({value}, 2)", "{:,.2f}".format),
    "percent": NumberFormat(
        "round((`{feature}` - 1) * 100)",
        "cast(abs({value}) as int)",
        lambda value: str(int(abs(value))),
        _percent,
    ),
    "plain": NumberFormat(
        "`{feature}`",
        "format_number({value}, '0.######')",
        lambda value: f"{value:.6f}".rstrip("0").rstrip("."),
    ),
}


def format_with_currency(amount: NumberFormat, currency: str) -> NumberFormat:
    """Return the format of an amount with the domain's currency in front; a minus precedes both.

    Args:
        amount: The format without a currency.
        currency: The sign of the currency; empty if the domain declares none.
    """
    if not currency:
        return amount
    number = amount.text.replace("{value}", "abs({value})")
    return replace(
        amount,
        text=f"concat(if({{value}} < 0, '−', ''), {literal(currency)}, {number})",
        format=lambda value: f"{'−' if value < 0 else ''}{currency}{amount.format(abs(value))}",
    )


# The cases of a sentence with a number: a case applies if its condition is true.
CASES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "one": ("= 1", lambda value: value == 1),
    "above": ("> 0", lambda value: value > 0),
    "below": ("< 0", lambda value: value < 0),
}


@dataclass(frozen=True)
class NumberTemplate:
    """Sentence with a number of a feature in it.

    `cases` are checked in order before `otherwise`.
    """

    feature: str
    number: NumberFormat
    cases: dict[str, str]
    otherwise: str

    def sql(self) -> str:
        """Return the text as a SQL expression over the features."""
        value = self.number.value.replace("{feature}", self.feature)
        cases = " ".join(
            f"when {value} {CASES[case][0]} then {self._sentence(sentence, value)}"
            for case, sentence in self.cases.items()
        )
        otherwise = self._sentence(self.otherwise, value)
        return f"case {cases} else {otherwise} end" if cases else otherwise

    def _sentence(self, sentence: str, value: str) -> str:
        before, placeholder, after = sentence.partition(PLACEHOLDER)
        number = (
            [f"cast({self.number.text.replace('{value}', value)} as string)"] if placeholder else []
        )
        return f"concat({', '.join([literal(before), *number, literal(after)])})"

    def render(self, features: Features) -> str:
        """Return the text for these features."""
        value = self.number.read(features[self.feature])
        return _fill(self._choose(value, self.cases), self.number.format(value))

    def render_range(self, lowest: float, highest: float) -> str:
        """Return one text for several customers, by their lowest and highest feature value."""
        ends = [self.number.read(lowest), self.number.read(highest)]
        # A range is in the plural.
        cases = {case: text for case, text in self.cases.items() if case != "one"}
        sentences = [self._choose(end, cases) for end in ends]
        numbers = [self.number.format(end) for end in ends]
        if numbers[0] == numbers[1]:
            return self.render({self.feature: lowest})
        if sentences[0] != sentences[1]:
            return " to ".join(map(_fill, sentences, numbers))
        # Numbers below zero may be formatted without their sign.
        ordered = numbers if ends[1] > 0 else reversed(numbers)
        return _fill(sentences[0], " to ".join(ordered))

    def _choose(self, value: float, cases: Mapping[str, str]) -> str:
        holding = (text for case, text in cases.items() if CASES[case][1](value))
        return next(holding, self.otherwise)


def _fill(sentence: str, number: str) -> str:
    return sentence.replace(PLACEHOLDER, number)


@dataclass(frozen=True)
class Reason:
    """Inputs that are presented as one thing, and the text for it."""

    feature: str
    inputs: tuple[str, ...]
    text: ReasonText


def read_reasons(domain: Path | None = None) -> list[Reason]:
    """Return the reasons that a domain declares, by default the selected one.

    Raises:
        ChurnError: The format of a number, or a case, is unknown.
    """
    selected = read_domain(domain)
    amount = format_with_currency(NUMBERS["amount"], selected.report.currency)
    numbers = {**NUMBERS, "amount": amount}
    declared = selected.features.reasons
    return [_reason(feature, terms, numbers) for feature, terms in declared.items()]


def reasons_for(inputs: Sequence[str], declared: Sequence[Reason]) -> list[Reason]:
    """Return reasons that cover each input once.

    An undeclared input is a reason of its own.
    """
    declared_inputs = {name for reason in declared for name in reason.inputs}
    covering = [
        replace(reason, inputs=tuple(name for name in reason.inputs if name in inputs))
        for reason in declared
    ]
    unknown = [
        Reason(name, (name,), NumberTemplate(name, NUMBERS["plain"], {}, f"{name} = {PLACEHOLDER}"))
        for name in inputs
        if name not in declared_inputs
    ]
    return [reason for reason in covering if reason.inputs] + unknown


def _reason(feature: str, terms: ReasonTerms, numbers: Mapping[str, NumberFormat]) -> Reason:
    inputs = (*terms.words, *terms.inputs)
    if terms.number is None:
        otherwise = terms.otherwise or feature.replace("_", " ")
        return Reason(feature, inputs, FlagTemplate(terms.words, otherwise))
    cases: dict[str, str] = {case: text for case, text in terms.says.items() if case != "otherwise"}
    number = NumberTemplate(feature, numbers[terms.number], cases, terms.says["otherwise"])
    return Reason(feature, inputs, number)
