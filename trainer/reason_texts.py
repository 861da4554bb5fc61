"""What a model's inputs mean to people: the reasons that `reasons.yml` declares.

The batch says them in SQL and the scoring API in Python. Both come from the one declaration; that
Spark's numbers in words and Python's are the same letters is tested for every customer.
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
# Where the number stands in a sentence.
PLACE = "{}"

Features = Mapping[str, int | float]


class ReasonText(Protocol):
    """Words for a customer, from the features."""

    def sql(self) -> str:
        """The words as a SQL expression over the features."""

    def say(self, features: Features) -> str:
        """The words for these features."""


@dataclass(frozen=True)
class FlagTemplate:
    """The words of the flag that is 1, the first where several are; `otherwise` where none is."""

    words: dict[str, str]
    otherwise: str

    def sql(self) -> str:
        cases = " ".join(
            f"when `{name}` = 1 then {literal(text)}" for name, text in self.words.items()
        )
        return f"case {cases} else {literal(self.otherwise)} end"

    def say(self, features: Features) -> str:
        for name, text in self.words.items():
            if features[name] == 1:
                return text
        return self.otherwise


@dataclass(frozen=True)
class NumberTemplate:
    """How a number is written.

    `value` and `text` are SQL: what is written of `{feature}`, and how `{value}` is written.
    `read` and `write` are the same in Python.
    """

    value: str
    text: str

    def read(self, value: float) -> float:
        return value

    def write(self, value: float) -> str:
        raise NotImplementedError


class Whole(NumberTemplate):
    """A count."""

    def write(self, value: float) -> str:
        return str(int(value))


class Amount(NumberTemplate):
    """Two decimals, thousands apart; a half goes to the even digit, in Spark as in Python."""

    def write(self, value: float) -> str:
        return f"{value:,.2f}"


class Percent(NumberTemplate):
    """By how many per cent a ratio is above or below 1, without the sign."""

    def read(self, value: float) -> float:
        # As Spark's round: the decimal number that is printed decides, a half goes away from zero.
        return float(Decimal(repr((value - 1) * 100)).quantize(Decimal(1), ROUND_HALF_UP))

    def write(self, value: float) -> str:
        return str(int(abs(value)))


class Plain(NumberTemplate):
    """As it is, with six decimals at most."""

    def write(self, value: float) -> str:
        return f"{value:.6f}".rstrip("0").rstrip(".")


NUMBERS: dict[str, NumberTemplate] = {
    "whole": Whole("`{feature}`", "cast({value} as int)"),
    "amount": Amount("`{feature}`", "format_number({value}, 2)"),
    "percent": Percent("round((`{feature}` - 1) * 100)", "cast(abs({value}) as int)"),
    "plain": Plain("`{feature}`", "format_number({value}, '0.######')"),
}
# The cases of a sentence with a number: what stands there is said where the condition holds.
CASES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "one": ("= 1", lambda value: value == 1),
    "above": ("> 0", lambda value: value > 0),
    "below": ("< 0", lambda value: value < 0),
}


@dataclass(frozen=True)
class Figure:
    """A sentence with a number of a feature in it; `cases` go before `otherwise`, in order."""

    feature: str
    number: NumberTemplate
    cases: dict[str, str]
    otherwise: str

    def sql(self) -> str:
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
        value = self.number.read(features[self.feature])
        holding = (text for case, text in self.cases.items() if CASES[case][1](value))
        sentence = next(holding, self.otherwise)
        return sentence.replace(PLACE, self.number.write(value)) if PLACE in sentence else sentence


@dataclass(frozen=True)
class Reason:
    """Inputs that people see as one thing, and the words for it."""

    feature: str
    inputs: tuple[str, ...]
    words: ReasonText


def read_reasons(path: Path = DECLARED) -> list[Reason]:
    """The declared reasons.

    Raises:
        ChurnError: a number is to be written in a way, or a case is named, that is not known.
    """
    declared: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())
    return [_reason(feature, entry, path) for feature, entry in declared.items()]


def reasons_for(inputs: Sequence[str], declared: Sequence[Reason]) -> list[Reason]:
    """Reasons that cover each input once; an undeclared input is a reason of its own."""
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
