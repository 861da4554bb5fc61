"""Write a letter that explains one customer's score in plain language; it agrees with the trace."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from churn.provenance.labels import format_label
from churn.provenance.retention_lists import is_out_of_fold
from churn.provenance.trace import trace_customers
from churn.provenance.trace_text import has_left, latest_extract
from churn.reports.entries import describe_rights, describe_use, list_entries
from churn.reports.figures import Figures
from churn.reports.report import format_signed, page
from churn.reports.xlsx_output import require_writable, translate_write_errors
from feature_repo.label_texts import describe_limit, describe_period
from lakehouse.atomic_write import atomic_write
from lakehouse.domain import read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings
from trainer.explain import SMALLEST

TRACE = "trace"
# How strong a part of the sum is, in words, by its least absolute value: the strongest first.
STRENGTHS = {"strongly": 0.4, "somewhat": 0.15, "slightly": 0.0}


@dataclass(frozen=True)
class Effect:
    """A reason: its text, how strong it is, in words, and where the trace has it."""

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
    text = letter_page(lineage, date.today(), is_sample(settings))
    with translate_write_errors(path), atomic_write(path) as draft:
        draft.write_text(text)
    return f"letter about {lineage['customer_id']}: {path}"


def letter_page(  # long: its content, a line each
    lineage: Mapping[str, Any], written: date, is_sample: bool = False
) -> str:
    """Return the letter as self-contained HTML; its figures are those of the lineage.

    Args:
        lineage: The lineage of the customer.
        written: The date of the letter.
        is_sample: Whether the customers are generated.

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
    listed = lineage["retention_list"]
    raising, lowering = (list(_list_effects(contributions, side)) for side in (True, False))
    views = {
        "trace": lineage,
        "score": scores[0],
        "figures": Figures({TRACE: lineage}),
        "raising": raising,
        "lowering": lowering,
        "unlisted": _describe_unlisted(scores[0]["explanation"], [*raising, *lowering]),
        "personal": _describe_personal(contributions),
        "strengths": _describe_strengths(),
        "use": describe_use(),
        "has_left": has_left(lineage),
        "rights": describe_rights(),
        "is_listed": bool(listed and listed["rank"] is not None),
        "offer": _describe_offer(listed),
        "is_out_of_fold": is_out_of_fold,
        "company": read_domain().name,
        "written": written.isoformat(),
        "facts": list(list_entries(_find_cells(lineage))),
        "period": describe_period(label),
        "limit": describe_limit(label),
    }
    return page("letter.html.j2", views, is_sample)


def _describe_offer(listed: Mapping[str, Any] | None) -> str:
    """Return the offer for a listed customer, with what it is; empty if there is none."""
    offer = (listed or {}).get("offer")
    if not offer:
        return ""
    # The list begins the name with a capital letter.
    named = {name.lower(): each for name, each in read_domain().campaign.offers.items()}
    known = named.get(offer.lower())
    words = known.costs_in_words if known else ""
    return f"{offer[:1].lower()}{offer[1:]}{f' ({words})' if words else ''}"


def _list_effects(contributions: Sequence[Mapping[str, Any]], raises: bool) -> Iterator[Effect]:
    """Yield the reasons that raise the score, or that lower it, the strongest first.

    Only negligible ones are left out. All sensitive ones are among them: the letter is to the
    person whom they describe.
    """
    sensitive = read_domain().features.sensitive_reasons
    chosen = sorted(
        (-abs(each["contribution"]), place)
        for place, each in enumerate(contributions)
        if each["contribution"] * (1 if raises else -1) > 0
    )
    for negative_size, place in chosen:
        reason, size = contributions[place], -negative_size
        printed = round(size, 2)
        if size >= SMALLEST or reason["feature"] in sensitive:
            strength = next(word for word, least in STRENGTHS.items() if printed >= least)
            yield Effect(reason["text"], strength, place)


def _describe_unlisted(explained: Mapping[str, Any], listed: Sequence[Effect]) -> str:
    """Return how much the parts that are not listed are together; empty if all are listed.

    It is what remains of the printed total, so that the printed numbers add up.
    """
    contributions = explained["contributions"]
    places = {effect.place for effect in listed}
    rest = sum(
        place not in places and each["contribution"] != 0
        for place, each in enumerate(contributions)
    )
    if not rest:
        return ""
    printed = [explained["baseline"], *(contributions[place]["contribution"] for place in places)]
    remainder = round(explained["log_odds"], 2) - sum(round(each, 2) for each in printed)
    others = "The other one is" if rest == 1 else f"The {rest} others are together"
    return (
        f"Listed are all of {SMALLEST:g} or more, and all about you as a person. {others} "
        f"{format_signed(round(remainder, 2) + 0.0, 2)}."
    )


def _describe_personal(contributions: Sequence[Mapping[str, Any]]) -> str:
    """Return which listed parts callers are not told, as a sentence; empty if there are none."""
    domain = read_domain()
    sensitive = {each["feature"] for each in contributions} & domain.features.sensitive_reasons
    if not sensitive:
        return ""
    columns = domain.contract.columns.items()
    labels = [
        format_label(header, column) for header, column in columns if column.name in sensitive
    ]
    names = f" ({', '.join(labels)})" if labels else ""
    return (
        f"What describes you as a person{names} is part of the estimate. "
        "The list for our callers does not give it as a reason."
    )


def _describe_strengths() -> str:
    """Return what the words for the strength of a part mean, as a sentence."""
    strong, some, _ = STRENGTHS.items()
    return f"“{strong[0]}” is {strong[1]:g} or more, “{some[0]}” {some[1]:g} or more.".replace(
        strong[0], strong[0].capitalize(), 1
    )


def _find_cells(lineage: Mapping[str, Any]) -> Mapping[str, str | None]:
    """Return the cells of the workbook's row that the score is made of."""
    latest = latest_extract(dict(lineage))
    rows = [row for row in lineage["bronze"] if row["extract_date"] == latest]
    row = next((row for row in rows if row["became"] == "silver"), rows[-1])
    cells: Mapping[str, str | None] = row["cells"]
    return cells
