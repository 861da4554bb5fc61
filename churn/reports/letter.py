"""Write a letter that explains one customer's score in plain language; it agrees with the trace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn.provenance.trace import trace_customers
from churn.provenance.trace_text import format_cell, latest_extract
from churn.reports.figures import Figures
from churn.reports.report import page
from churn.reports.xlsx_output import require_writable, translate_write_errors
from feature_repo.labels import describe_limit, describe_period
from lakehouse.atomic_write import atomic_write
from lakehouse.domain import ID, LABEL, read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings

TRACE = "trace"
# Reasons that are named on each side, and the shares of all effects from which one is strong or
# noticeable.
NAMED = 5
STRONG, NOTICEABLE = 0.15, 0.05


@dataclass(frozen=True)
class Effect:
    """A reason: its text, how strong it is, and where the trace has it."""

    text: str
    strength: str
    place: int


def write_letter(settings: Settings, customer_id: str, path: Path, log: Log) -> str:
    """Write the letter of a customer and return a message.

    Raises:
        InvalidInputError: The customer is unknown or has no score that can be explained, or the
            file can't be written.
    """
    require_writable(path, ".html")
    (lineage,) = trace_customers(settings, [customer_id], log)
    text = letter_page(lineage, is_sample(settings))
    with translate_write_errors(path), atomic_write(path) as draft:
        draft.write_text(text)
    return f"letter about {lineage['customer_id']}: {path}"


def letter_page(lineage: Mapping[str, Any], is_sample: bool = False) -> str:
    """Return the letter as self-contained HTML; its figures are those of the lineage.

    Raises:
        InvalidInputError: The customer has no score, or its model is missing.
    """
    scores = lineage["scores"]
    if not scores or scores[0]["explanation"] is None:
        raise InvalidInputError(
            f"{lineage['customer_id']} has no score that can be explained",
            where=f"churn trace {lineage['customer_id']}",
            hint="score the customer's extract with `churn score`, and keep the model's version",
        )
    contributions = scores[0]["explanation"]["contributions"]
    label = lineage["model"]["training"]["label"]
    views = {
        "trace": lineage,
        "score": scores[0],
        "figures": Figures({TRACE: lineage}),
        "raising": list(_list_effects(contributions, raises=True)),
        "lowering": list(_list_effects(contributions, raises=False)),
        "facts": list(_list_facts(lineage)),
        "period": describe_period(label),
        "limit": describe_limit(label),
    }
    return page("letter.html.j2", views, is_sample)


def _list_effects(contributions: list[dict[str, Any]], raises: bool) -> Iterator[Effect]:
    """Yield the strongest reasons that raise the score, or that lower it, the strongest first.

    Sensitive reasons are left out; the trace has them.
    """
    sensitive = read_domain().features.sensitive_reasons
    whole = sum(abs(each["contribution"]) for each in contributions) or 1.0
    sized = [(abs(each["contribution"]) / whole, place) for place, each in enumerate(contributions)]
    chosen = [
        (size, place)
        for size, place in sorted(sized, key=lambda pair: (-pair[0], pair[1]))
        if contributions[place]["contribution"] * (1 if raises else -1) > 0
        and contributions[place]["feature"] not in sensitive
    ]
    for size, place in chosen[:NAMED]:
        yield Effect(contributions[place]["text"], _format_strength(size), place)


def _format_strength(share: float) -> str:
    if share >= STRONG:
        return "strongly"
    return "noticeably" if share >= NOTICEABLE else "a little"


def _list_facts(lineage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the cells of the workbook that the score is made of: all but the id and the label."""
    latest = latest_extract(dict(lineage))
    rows = [row for row in lineage["bronze"] if row["extract_date"] == latest]
    row = next((row for row in rows if row["became"] == "silver"), rows[-1])
    columns = read_domain().contract.columns
    for name, cell in row["cells"].items():
        if columns[name].name not in (ID, LABEL):
            yield name, format_cell(cell)
