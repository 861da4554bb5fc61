"""Render what `churn init` found in a workbook: the role of each column, and who left, in plots."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from churn.reports.plots import Bar, Plot, draw_bars
from churn.reports.report import count, page, percent
from seeds_loader.draft.profile import Profile
from seeds_loader.draft.roles import Draft, Label

# Numbers with more values than bars are shown in so many groups of about equal size; of categories
# the most frequent are shown.
GROUPS, MAX_BARS = 5, 8


def draft_page(draft: Draft, workbook: str) -> str:
    """Return the page as self-contained HTML."""
    label = draft.label
    ranked = sorted(draft.features, key=lambda column: -draft.roc_auc[column.name])
    views = {
        "workbook": workbook,
        "label": f"{label.profile.header}: {label.left} ({percent(float(label.is_left.mean()))})",
        "id": draft.id.header if draft.id else "none: the row of the sheet",
        "value": draft.value.header if draft.value else "none: the list has no amounts",
        "rows": count(len(label.is_left)),
        "features": [(column, draft.roc_auc[column.name]) for column in ranked],
        "accepted": draft.accepted,
        "set_aside": draft.set_aside,
        "plots": list(_draw_features(ranked, label)),
    }
    return page("draft.html.j2", views)


def _draw_features(features: list[Profile], label: Label) -> Iterator[Plot]:
    overall = float(label.is_left.mean())
    bars = {column.name: list(_group(column, label)) for column in features}
    limit = max((bar.value for rows in bars.values() for bar in rows), default=0.0) or 1.0
    for column in features:
        rows = bars[column.name]
        title = f"{column.header}: share that left"
        svg = draw_bars(f"draft-{column.name}", title, rows, limit, overall)
        yield Plot(title, f"The upright line is the share of all, {percent(overall)}.", svg)


def _group(column: Profile, label: Label) -> Iterator[Bar]:
    if column.numbers is not None and column.distinct > MAX_BARS:
        edges = np.unique(np.nanquantile(column.numbers, np.linspace(0, 1, GROUPS + 1)))
        for low, high in pairwise(edges):
            is_last = high == edges[-1]
            inside = (column.numbers >= low) & (
                (column.numbers <= high) if is_last else (column.numbers < high)
            )
            name = f"{low:g} to {high:g}" if is_last else f"{low:g} to below {high:g}"
            yield _bar(name, label.is_left[inside])
        return
    assert column.codes is not None
    shown = list(enumerate(value for value, _ in column.values))[:MAX_BARS]
    if column.is_numeric:
        shown.sort(key=lambda value: float(value[1]))
    for index, value in shown:
        yield _bar(value, label.is_left[column.codes == index])


def _bar(name: str, left: "np.typing.NDArray[np.bool_]") -> Bar:
    share = float(left.mean()) if len(left) else 0.0
    return Bar(name, share, f"{percent(share)} of {count(len(left))}")
