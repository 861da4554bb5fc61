"""What a model's inputs mean to people: the reasons that `reasons.yml` declares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lakehouse.sql import literal

DECLARED = Path(__file__).with_name("reasons.yml")


@dataclass(frozen=True)
class Reason:
    """Inputs that people see as one thing; `text` is a SQL expression over the features."""

    feature: str
    inputs: tuple[str, ...]
    text: str


def read_reasons(path: Path = DECLARED) -> list[Reason]:
    """The declared reasons."""
    declared: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())
    return [_reason(feature, entry) for feature, entry in declared.items()]


def reasons_for(inputs: Sequence[str], declared: Sequence[Reason]) -> list[Reason]:
    """Reasons that cover each input once; an undeclared input is a reason of its own."""
    known = {name for reason in declared for name in reason.inputs}
    covering = [
        replace(reason, inputs=tuple(name for name in reason.inputs if name in inputs))
        for reason in declared
    ]
    unknown = [
        Reason(name, (name,), f"concat({literal(name)}, ' = ', `{name}`)")
        for name in inputs
        if name not in known
    ]
    return [reason for reason in covering if reason.inputs] + unknown


def _reason(feature: str, entry: dict[str, Any]) -> Reason:
    words: dict[str, str] = entry.get("words", {})
    inputs = (*words, *entry.get("inputs", ()))
    if "text" in entry:
        return Reason(feature, inputs, entry["text"])
    cases = " ".join(f"when `{name}` = 1 then {literal(text)}" for name, text in words.items())
    otherwise = literal(entry.get("otherwise", feature.replace("_", " ")))
    return Reason(feature, inputs, f"case {cases} else {otherwise} end")
