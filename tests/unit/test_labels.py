"""Which label the published extracts allow, and what identifies the training set."""

from datetime import UTC, date, datetime

import pytest

from feature_repo.labels import FEWEST, OBSERVED, WORKBOOK, Counts, label_of
from feature_repo.published import Publication
from feature_repo.training import TrainingSet, signature

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
OF_WORKBOOK = Counts(1100, 291)


def test_one_extract_has_the_workbooks_label() -> None:
    label = label_of([JANUARY], None, OF_WORKBOOK)
    assert (label.kind, label.extracts, label.days_between) == (WORKBOOK, 1, [])
    assert (label.rows, label.positives) == (1100, 291)
    assert "the one published extract had no next one" in label.reason


@pytest.mark.parametrize(
    ("observed", "kind"),
    [
        (Counts(809, FEWEST), OBSERVED),
        (Counts(809, FEWEST - 1), WORKBOOK),
        (Counts(809, 0), WORKBOOK),
        (Counts(809, 809 - FEWEST), OBSERVED),
        # the customers of two companies: all of the first ones are gone
        (Counts(809, 809), WORKBOOK),
        (Counts(0, 0), WORKBOOK),
    ],
)
def test_churn_is_observed_where_enough_leave_and_enough_stay(observed: Counts, kind: str) -> None:
    label = label_of([JANUARY, FEBRUARY], observed, OF_WORKBOOK)
    assert label.kind == kind
    used = observed if kind == OBSERVED else OF_WORKBOOK
    assert (label.rows, label.positives) == (used.rows, used.positives)
    assert (label.extracts, label.days_between) == (2, [31])


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ([JANUARY, FEBRUARY], "one pair of extracts 31 days apart"),
        ([JANUARY, FEBRUARY, MARCH], "2 pairs of extracts 29 to 31 days apart"),
        ([JANUARY, date(2024, 1, 2), date(2024, 1, 3)], "2 pairs of extracts 1 day apart"),
    ],
)
def test_the_reason_says_what_was_observed(dates: list[date], said: str) -> None:
    reason = label_of(dates, Counts(8000, 2000), OF_WORKBOOK).reason
    assert said in reason
    assert "of 8,000 rows" in reason
    assert "2,000 were churned or gone" in reason
    assert said in label_of(dates, Counts(8000, 20), OF_WORKBOOK).reason


def published(*batches: str) -> list[Publication]:
    created = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        Publication(batch, date(2024, place, 1), created, 1100)
        for place, batch in enumerate(batches, start=1)
    ]


def test_the_signature_changes_with_each_load_that_takes_part() -> None:
    of_three = signature(OBSERVED, published("a", "b", "c"), ["tenure"])
    others = [
        signature(OBSERVED, published("a", "x", "c"), ["tenure"]),
        signature(OBSERVED, published("a", "b", "x"), ["tenure"]),
        signature(OBSERVED, published("b", "c"), ["tenure"]),
        signature(OBSERVED, published("a", "b", "c"), ["tenure", "partner"]),
        signature(WORKBOOK, published("a", "b", "c"), ["tenure"]),
    ]
    assert len({of_three, *others}) == 1 + len(others)
    # the workbook's label is of the latest extract alone
    latest = signature(WORKBOOK, published("a", "x", "c"), ["tenure"])
    assert latest == signature(WORKBOOK, published("c"), ["tenure"]) == others[-1]


def test_over_several_extracts_the_rows_of_a_customer_stay_together() -> None:
    def together(observed: Counts | None) -> list[str]:
        dates = [JANUARY, FEBRUARY] if observed else [JANUARY]
        label = label_of(dates, observed, OF_WORKBOOK)
        return TrainingSet(lambda: None, ["tenure"], FEBRUARY, "s", label).kept_together

    assert together(None) == ["tenure"]
    assert together(Counts(809, 5)) == ["tenure"]
    assert together(Counts(809, 200)) == ["customer_id"]
