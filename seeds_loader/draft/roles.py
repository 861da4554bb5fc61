"""Decide what each column is for: id, label, feature, or set aside, with the reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, permutations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from lakehouse.errors import InvalidInputError
from lakehouse.near_matches import format_suggestion
from seeds_loader.draft.profile import Profile

LABEL = re.compile(r"churn|attrit|exited|cancel|left\b|leaver|retain|lapsed|unsubscri", re.I)
LEFT = re.compile(
    r"^(1|y|yes|true|t|churn(ed)?|left|leaver|exited|attrited( customer)?|cancel+ed|lapsed|gone)$",
    re.I,
)
STAYED = re.compile(r"^(0|n|no|false|f|not\b.*|existing( customer)?|active|stayed|retained)$", re.I)
ID = re.compile(
    r"(\b|_)(id|number|no|key)\b|customer|client|account|phone|msisdn|member|user", re.I
)
# Columns that are known only after the customer left, or that another model made.
AFTERWARDS = re.compile(r"churn|attrit|reason|probab|predict|cltv|naive", re.I)
# Names of such columns, and of others: what they rank with decides.
PERHAPS_AFTERWARDS = re.compile(r"score|satisf|status|cancel|exit|left", re.I)
AMOUNT = r"(charge|bill|fee|revenue|spend|price)"
VALUE = re.compile(rf"month.*{AMOUNT}|{AMOUNT}.*month|mrr|arpu", re.I)
# As trainer/parameters.yml: a feature that ranks this well alone reveals the label.
SUSPICIOUS_ROC_AUC = 0.6
LEAK_ROC_AUC, LEAK_SHARE, LEAK_FEWEST = 0.85, 0.97, 50
# A value at which nearly all left is a leak only if so many of all leavers have it.
LEAK_OF_LEAVERS = 0.1
# Two numbers are the same information if one is a linear function of the other, rounding aside.
TWIN_R2 = 0.9999
# Rounding, as a share of the standard deviation; numbers of few values agree by chance.
COMBINATION_ERROR, MANY_VALUES, ROWS_COMPARED = 0.01, 10, 1000
DATE = re.compile(r"^\d{4}-\d{2}-\d{2}|^\d{1,2}[./]\d{1,2}[./]\d{2,4}$")


@dataclass(frozen=True)
class Label:
    """The column that says who left, and the value that says so."""

    profile: Profile
    left: str
    stayed: str
    is_left: npt.NDArray[np.bool_]


@dataclass
class Draft:
    """Roles of the columns.

    Attributes:
        id: The column that identifies the customer; None: the row of the sheet does.
        label: The label.
        value: The column with what a customer brings per month, or None.
        features: The columns that become features.
        set_aside: The others, with the reason.
        dates: Those of them that are dates.
        accepted: Features that trainer's rule on leaks would refuse, with the evidence.
        roc_auc: How well each feature alone ranks the customers.
    """

    id: Profile | None
    label: Label
    value: Profile | None
    features: list[Profile] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    dates: list[Profile] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    roc_auc: dict[str, float] = field(default_factory=dict)


def find_label_candidates(profiles: Sequence[Profile]) -> list[Profile]:
    """Return the columns with two values that may be the label, the likeliest first."""
    two = [column for column in profiles if column.distinct == 2 and not column.blank]
    named = [column for column in two if LABEL.search(column.header)]
    exact = [column for column in named if column.name in ("churn", "churned", "exited")]
    return exact or named or two


def choose_label(profiles: Sequence[Profile], header: str | None, left: str | None) -> Label:
    """Return the label of the header, or the only likely one.

    Raises:
        InvalidInputError: There is no such column, it has not two values, or it is not clear which
            column or value is meant.
    """
    candidates = [_find_by_header(profiles, header)] if header else find_label_candidates(profiles)
    named = [column for column in candidates if LABEL.search(column.header)]
    # Churn Label and Churn Value of one workbook say the same.
    if header is None and not (named and all(_say_the_same(named[0], each) for each in named)):
        raise InvalidInputError(
            "it is not clear which column says who left",
            where=", ".join(column.header for column in candidates) or "no column has two values",
            hint="name it: --label COLUMN --left VALUE; if there is none with two values, add one",
        )
    label = candidates[0]
    values = [value for value, _ in label.values]
    if len(values) != 2 or label.blank or label.codes is None:
        raise InvalidInputError(
            f"{label.header} has {label.distinct:,} values and {label.blank:,} blanks; a label has "
            "two values and no blanks",
            where=f"column {label.header}",
            hint="name another column with --label, or fill the blanks",
        )
    chosen = _choose_left(label, values, left)
    return Label(
        label,
        chosen,
        next(value for value in values if value != chosen),
        label.codes == values.index(chosen),
    )


def _choose_left(label: Profile, values: list[str], left: str | None) -> str:
    if left is not None:
        for value in values:
            if value.casefold() == left.strip().casefold():
                return value
        raise InvalidInputError(
            f"{label.header} has no value '{left}'",
            where=f"column {label.header}: {', '.join(values)}",
            hint="name one of these with --left",
        )
    # Some write False. and True. with a full stop.
    words = {value: value.strip(" .!") for value in values}
    likely = [v for v in values if LEFT.match(words[v]) and not STAYED.match(words[v])]
    if len(likely) != 1:
        raise InvalidInputError(
            f"it is not clear which value of {label.header} means that the customer left",
            where=f"column {label.header}: {', '.join(values)}",
            hint=f"say it, for example --left '{values[-1]}'",
        )
    return likely[0]


def choose_id(profiles: Sequence[Profile], header: str | None, label: Label) -> Profile | None:
    """Return the id's column: the named one, else the likeliest unique one; None if there is none.

    Raises:
        InvalidInputError: The named column does not exist, or does not identify customers.
    """
    if header:
        named = _find_by_header(profiles, header)
        if not named.is_key:
            raise InvalidInputError(
                f"{named.header} does not identify a customer: it has {named.distinct:,} distinct "
                f"values in {named.rows:,} rows",
                where=f"column {named.header}",
                hint="name another column with --id, or none to go by the rows of the sheet",
            )
        return named
    unique = [
        column
        for column in profiles
        if column.is_key
        and column is not label.profile
        and (column.kind == "integer" or (column.numbers is None and _is_compact(column)))
    ]
    likely = [column for column in unique if ID.search(column.header)]
    return next(iter(likely or [column for column in unique if column.numbers is None]), None)


def _is_compact(column: Profile) -> bool:
    return all(len(text) <= 40 and len(text.split()) == 1 for text in column.examples)


def _find_by_header(profiles: Sequence[Profile], header: str) -> Profile:
    for column in profiles:
        if header.strip().casefold() in (column.header.casefold(), column.name):
            return column
    raise InvalidInputError(
        f"there is no column {header}",
        where=", ".join(column.header for column in profiles),
        hint=f"{format_suggestion(header, [each.header for each in profiles])}name one of these",
    )


def draft_roles(
    profiles: Sequence[Profile],
    label: Label,
    customer_id: Profile | None,
    value: str | None,
) -> Draft:
    """Return the role of every column."""
    worth = _find_by_header(profiles, value) if value else None
    if worth is None:
        numeric = [column for column in profiles if column.is_numeric]
        worth = next((column for column in numeric if VALUE.search(column.header)), None)
    draft = Draft(customer_id, label, worth)
    # Of two columns that say the same, the one with the value is kept.
    for column in sorted(profiles, key=lambda column: column is not worth):
        if column in (customer_id, label.profile):
            continue
        ranked = _rank(column, label)
        reason = _find_reason(column, label, ranked, draft)
        if reason:
            draft.set_aside[column.header] = reason
        else:
            draft.features.append(column)
            draft.roc_auc[column.name] = ranked
    draft.features.sort(key=profiles.index)
    if worth not in draft.features:
        draft.value = None
    if not draft.features:
        raise InvalidInputError(
            "no column is left that a model could learn from",
            where="; ".join(f"{name}: {why}" for name, why in draft.set_aside.items()),
            hint="name a workbook with columns that describe the customers",
        )
    return draft


def _find_reason(column: Profile, label: Label, ranked: float, draft: Draft) -> str | None:
    """Return why a column is set aside, or None; what comes earlier is kept."""
    if column.kind == "constant":
        return "constant" if column.distinct else "empty"
    if column.numbers is None and DATE.match(column.examples[0]):
        draft.dates.append(column)
        return "a date: how long ago it is may be a feature, the date is not"
    if column.kind == "text":
        return "free text, or a key" if column.numbers is None else "a key, or a code"
    if column.is_key and column.kind == "integer" and ID.search(column.header):
        return "another key"
    is_perhaps = PERHAPS_AFTERWARDS.search(column.header) and ranked >= SUSPICIOUS_ROC_AUC
    if AFTERWARDS.search(column.header) or is_perhaps:
        return f"by its name known only after the customer left; it alone ranks with {ranked:.2f}"
    if ranked >= LEAK_ROC_AUC:
        return f"a leak: it alone ranks the customers with ROC-AUC {ranked:.2f}"
    if (leak := _find_pure_value(column, label, draft)) is not None:
        return leak
    for other in draft.features:
        if twin := _find_twin(column, other):
            return twin
    return _find_combination(column, [each for each in draft.features if each.is_numeric])


def _rank(column: Profile, label: Label) -> float:
    """Return ROC-AUC of the column alone; categories rank by their share of leavers."""
    if column.is_numeric and column.numbers is not None:
        known = ~np.isnan(column.numbers)
        values, left = column.numbers[known], label.is_left[known]
    elif column.codes is not None and column.kind != "constant":
        shares = _shares(column, label)
        values, left = shares[column.codes], label.is_left
    else:
        return 0.5
    if left.all() or not left.any():
        return 0.5
    ranked = float(roc_auc_score(left, values))
    return max(ranked, 1 - ranked)


def _shares(column: Profile, label: Label) -> npt.NDArray[np.float64]:
    assert column.codes is not None
    codes = column.codes + 1
    size = np.bincount(codes, minlength=len(column.values) + 1)
    left = np.bincount(codes, weights=label.is_left, minlength=len(column.values) + 1)
    shares: npt.NDArray[np.float64] = np.roll(left / np.maximum(size, 1), -1)
    return shares


def _find_pure_value(column: Profile, label: Label, draft: Draft) -> str | None:
    if column.codes is None:
        return None
    for index, (value, count) in enumerate(column.values):
        of_value = column.codes == index
        left = int(label.is_left[of_value].sum())
        if count < LEAK_FEWEST or left / count < LEAK_SHARE:
            continue
        evidence = f"{left:,} of the {count:,} with {value} left"
        if left >= LEAK_OF_LEAVERS * label.is_left.sum():
            return f"a leak: {evidence}"
        draft.accepted[column.name] = f"{evidence}, {left / label.is_left.sum():.1%} of all leavers"
    return None


def _find_twin(column: Profile, other: Profile) -> str | None:
    """Return how a column follows from a feature, or None if it does not."""
    if column.is_numeric and other.is_numeric:
        return _find_linear(column, other)
    is_grouping = column.codes is not None and other.is_numeric and column.kind == "category"
    if is_grouping and (brackets := _find_brackets(column, other)):
        return brackets
    return f"says the same as {other.header}" if _say_the_same(column, other) else None


def _say_the_same(column: Profile, other: Profile) -> bool:
    """Return whether each value of a column goes with one value of the other."""
    if column.codes is None or other.codes is None:
        return False
    # -1, a blank, counts as a value.
    pairs = np.bincount((column.codes + 1) * (len(other.values) + 1) + other.codes + 1)
    counts = (pairs, np.bincount(column.codes + 1), np.bincount(other.codes + 1))
    return len({int(np.count_nonzero(each)) for each in counts}) == 1


def _find_linear(column: Profile, other: Profile) -> str | None:
    assert column.numbers is not None and other.numbers is not None
    known = ~np.isnan(column.numbers) & ~np.isnan(other.numbers)
    x, y = other.numbers[known], column.numbers[known]
    if len(x) < 3 or not np.std(x) or not np.std(y):
        return None
    if np.corrcoef(x, y)[0, 1] ** 2 < TWIN_R2:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    sign = "+" if intercept >= 0 else "-"
    tail = f" {sign} {abs(intercept):.3g}" if abs(intercept) > 0.002 * np.std(y) else ""
    return f"follows from {other.header}: {slope:.4g} × {other.header}{tail}"


def _find_combination(column: Profile, others: Sequence[Profile]) -> str | None:
    """Return how a number follows from two features, or None if it does not."""
    if not column.is_numeric or column.numbers is None or column.distinct < MANY_VALUES:
        return None
    y = column.numbers[:ROWS_COMPARED]
    allowed = COMBINATION_ERROR * float(np.nanstd(column.numbers))
    for first, second in permutations(others, 2):
        assert first.numbers is not None and second.numbers is not None
        a, b = first.numbers[:ROWS_COMPARED], second.numbers[:ROWS_COMPARED]
        with np.errstate(divide="ignore", invalid="ignore"):
            results = {"+": a + b, "-": a - b, "×": a * b, "/": np.where(b == 0, 0, a / b)}
        for sign, result in results.items():
            apart = np.abs(result - y)
            if np.nanmax(apart, initial=0) <= allowed:
                return f"follows from {first.header} {sign} {second.header}"
    return None


def _find_brackets(column: Profile, other: Profile) -> str | None:
    """Return that a category is ranges of a number, or None if the ranges overlap."""
    assert column.codes is not None and other.numbers is not None
    bounds = sorted(
        (float(np.nanmin(of_value)), float(np.nanmax(of_value)))
        for of_value in (other.numbers[column.codes == k] for k in range(len(column.values)))
        if len(of_value) and not np.isnan(of_value).all()
    )
    if len(bounds) < 2 or other.distinct <= len(bounds):
        return None
    apart = all(before[1] < after[0] for before, after in pairwise(bounds))
    return f"ranges of {other.header}" if apart else None
