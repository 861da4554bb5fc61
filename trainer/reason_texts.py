"""Render the reasons that `reasons.yml` declares, which describe a model's inputs to people.

The batch renders them in SQL and the scoring API in Python. Both use the same declaration; a test
verifies for every customer that Spark and Python format numbers identically.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Protocol

import yaml

from lakehouse.errors import ChurnError
from lakehouse.sql import literal

DECLARED = Path(__file__).with_name("reasons.yml")
# Placeholder of the number in a sentence.
PLACE = "{}"

Features = Mapping[str, int | float]


class ReasonText(Protocol):
    """Text for a customer, rendered from the features."""

    def sql(self) -> str:
        """Return the text as a SQL expression over the features."""

    def say(self, features: Features) -> str:
        """Return the text for these features."""


@dataclass(frozen=True)
class FlagTemplate:
    """Text of the first flag that is 1; `otherwise` if none is."""

    words: dict[str, str]
    otherwise: str

    def sql(self) -> str:
        """Return the text as a SQL expression over the features."""
        cases = " ".join(
            f"when `{name}` = 1 then {literal(text)}" for name, text in self.words.items()
        )
        return f"case {cases} else {literal(self.otherwise)} end"

    def say(self, features: Features) -> str:
        """Return the text for these features."""
        for name, text in self.words.items():
            if features[name] == 1:
                return text
        return self.otherwise


@dataclass(frozen=True)
class NumberTemplate:
    """Format of a number, in SQL and in Python.

    `read` and `write` are the Python equivalents of `value` and `text`.

    Attributes:
        value: SQL expression for the number to format, from `{feature}`.
        text: SQL expression for the formatted number, from `{value}`.
    """

    value: str
    text: str

    def read(self, value: float) -> float:
        """Return the number to format."""
        return value

    def write(self, value: float) -> str:
        """Return the formatted number."""
        raise NotImplementedError


class Whole(NumberTemplate):
    """Format of a count."""

    def write(self, value: float) -> str:
        """Return the number as an integer."""
        return str(int(value))


class Amount(NumberTemplate):
    """Format with two decimals and separated thousands.

    A half is rounded to the even digit, in Spark as in Python.
    """

    def write(self, value: float) -> str:
        """Return the number with two decimals and separated thousands."""
        return f"{value:,.2f}"


class Percent(NumberTemplate):
    """Format of the percentage by which a ratio is above or below 1, without the sign."""

    def read(self, value: float) -> float:
        """Return the rounded percentage by which a ratio is above or below 1."""
        # As in Spark's round: the printed decimal number is rounded, and a half away from zero.
        return float(Decimal(repr((value - 1) * 100)).quantize(Decimal(1), ROUND_HALF_UP))

    def write(self, value: float) -> str:
        """Return the percentage without the sign."""
        return str(int(abs(value)))


class Plain(NumberTemplate):
    """Format of an unchanged number, with at most six decimals."""

    def write(self, value: float) -> str:
        """Return the number with at most six decimals."""
        return f"{value:.6f}".rstrip("0").rstrip(".")


NUMBERS: dict[str, NumberTemplate] = {
    "whole": Whole("`{feature}`", "cast({value} as int)"),
    "amount": Amount("`{feature}`", "format_number({value}, 2)"),
    "percent": Percent("round((`{feature}` - 1) * 100)", "cast(abs({value}) as int)"),
    "plain": Plain("`{feature}`", "format_number({value}, '0.######')"),
}
# The cases of a sentence with a number: a case applies if its condition is true.
CASES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "one": ("= 1", lambda value: value == 1),
    "above": ("> 0", lambda value: value > 0),
    "below": ("< 0", lambda value: value < 0),
}


@dataclass(frozen=True)
class Figure:
    """Sentence with a number of a feature in it.

    `cases` are checked in order before `otherwise`.
    """

    feature: str
    number: NumberTemplate
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
        before, place, after = sentence.partition(PLACE)
        number = [f"cast({self.number.text.replace('{value}', value)} as string)"] if place else []
        return f"concat({', '.join([literal(before), *number, literal(after)])})"

    def say(self, features: Features) -> str:
        """Return the text for these features."""
        value = self.number.read(features[self.feature])
        holding = (text for case, text in self.cases.items() if CASES[case][1](value))
        sentence = next(holding, self.otherwise)
        return sentence.replace(PLACE, self.number.write(value)) if PLACE in sentence else sentence


@dataclass(frozen=True)
class Reason:
    """Inputs that are presented as one thing, and the text for it."""

    feature: str
    inputs: tuple[str, ...]
    words: ReasonText


def read_reasons(path: Path = DECLARED) -> list[Reason]:
    """Return the declared reasons.

    Raises:
        ChurnError: The format of a number, or a case, is unknown.
    """
    declared: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())
    return [_reason(feature, entry, path) for feature, entry in declared.items()]


def reasons_for(inputs: Sequence[str], declared: Sequence[Reason]) -> list[Reason]:
    """Return reasons that cover each input once.

    An undeclared input is a reason of its own.
    """
    known = {name for reason in declared for name in reason.inputs}
    covering = [
        replace(reason, inputs=tuple(name for name in reason.inputs if name in inputs))
        for reason in declared
    ]
    unknown = [
        Reason(name, (name,), Figure(name, NUMBERS["plain"], {}, f"{name} = {PLACE}"))
        for name in inputs
        if name not in known
    ]
    return [reason for reason in covering if reason.inputs] + unknown


def _reason(feature: str, entry: dict[str, Any], path: Path) -> Reason:
    flags: dict[str, str] = entry.get("words", {})
    inputs = (*flags, *entry.get("inputs", ()))
    if "number" not in entry:
        otherwise = entry.get("otherwise", feature.replace("_", " "))
        return Reason(feature, inputs, FlagTemplate(flags, otherwise))
    cases = {case: text for case, text in entry["says"].items() if case != "otherwise"}
    if entry["number"] not in NUMBERS or not cases.keys() <= CASES.keys():
        raise ChurnError(
            f"The reason {feature} is declared in words that are not known",
            where=str(path),
            remedy=f"number is one of {', '.join(NUMBERS)}; says has {', '.join(CASES)}, otherwise",
        )
    figure = Figure(feature, NUMBERS[entry["number"]], cases, entry["says"]["otherwise"])
    return Reason(feature, inputs, figure)
