"""Which label the published extracts allow, and what identifies the training set."""

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from feature_repo.labels import (
    MIN_CUSTOMERS,
    OBSERVED,
    OLDER,
    WORKBOOK,
    Counts,
    Exclusion,
    Pair,
    PairRules,
    choose_label,
    find_objection,
    read_pair_rules,
    select_eligible,
    select_plausible,
)
from feature_repo.publications import Publication
from feature_repo.training import TrainingSet, _group_runs, hash_training_set
from lakehouse.domain import DOMAINS, read_domain
from lakehouse.errors import ChurnError

JANUARY = date(2024, 1, 1)
OF_WORKBOOK = Counts(1100, 291)
RULES = PairRules(retained_at_least=0.1, new_at_most=0.9, days=(7, 100), churn_rate=(0.001, 0.5))


def published(*batches: str, days: int = 31, customers: int = 1000) -> list[Publication]:
    created = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        Publication(batch, JANUARY + timedelta(days * place), created, customers)
        for place, batch in enumerate(batches)
    ]


def a_pair(days: int = 31, retained: int = 735, rows: int = 809, positives: int = 130) -> Pair:
    first, second = published("a", "b", days=days)
    return Pair(first, second, retained, rows, positives)


def test_one_extract_has_the_workbooks_label() -> None:
    label = choose_label([], OF_WORKBOOK, 1)
    assert (label.kind, label.extracts, label.days_between) == (WORKBOOK, 1, [])
    assert (label.rows, label.positives) == (1100, 291)
    assert "there was no later extract yet" in label.reason


@pytest.mark.parametrize(
    ("observed", "kind"),
    [
        (Counts(809, MIN_CUSTOMERS), OBSERVED),
        (Counts(809, MIN_CUSTOMERS - 1), WORKBOOK),
        (Counts(809, 0), WORKBOOK),
        (Counts(809, 809 - MIN_CUSTOMERS), OBSERVED),
        # the customers of two companies: all of the first ones are gone
        (Counts(809, 809), WORKBOOK),
        (Counts(0, 0), WORKBOOK),
    ],
)
def test_churn_is_observed_where_enough_leave_and_enough_stay(observed: Counts, kind: str) -> None:
    pair = a_pair(rows=observed.rows, positives=observed.positives)
    label = choose_label([pair], OF_WORKBOOK, 2)
    assert label.kind == kind
    used = observed if kind == OBSERVED else OF_WORKBOOK
    assert (label.rows, label.positives) == (used.rows, used.positives)
    assert (label.extracts, label.days_between) == (2, [31])


def test_the_pairs_leavers_are_counted_together() -> None:
    label = choose_label([a_pair(positives=60), a_pair(positives=50)], OF_WORKBOOK, 3)
    assert (label.kind, label.rows, label.positives) == (OBSERVED, 1618, 110)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([31], "one pair of extracts 31 days apart"),
        ([31, 29], "2 pairs of extracts 29 to 31 days apart"),
        ([1, 1], "2 pairs of extracts 1 day apart"),
    ],
)
def test_the_reason_says_what_was_observed(days: list[int], said: str) -> None:
    def reason(rows: int, positives: int) -> str:
        pairs = [a_pair(each, rows=rows, positives=positives) for each in days]
        return choose_label(pairs, OF_WORKBOOK, len(days) + 1).reason

    assert said in reason(8000, 2000)
    assert f"of {8000 * len(days):,} rows" in reason(8000, 2000)
    assert f"{2000 * len(days):,} were churned or gone" in reason(8000, 2000)
    assert said in reason(8000, 20)


# --- pairs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (a_pair(), None),
        # an old extract of other customers: everybody would be gone
        (a_pair(retained=0, positives=809), "of other customers: 0.0% of the first one's"),
        (a_pair(retained=99), "of other customers: 9.9% of the first one's"),
        (a_pair(retained=100, positives=400), None),
        (a_pair(days=6), "6 days apart, not 7 to 100"),
        (a_pair(days=1), "1 day apart, not 7 to 100"),
        (a_pair(days=7), None),
        (a_pair(days=100), None),
        (a_pair(days=335), "335 days apart, not 7 to 100"),
        (a_pair(positives=0), "0.00% who left, which is not plausible (0.1% to 50%)"),
        (a_pair(positives=1), None),
        (a_pair(positives=405), "50.06% who left"),
        (a_pair(rows=0, positives=0), "0.00% who left"),
    ],
)
def test_each_pair_is_judged_by_itself(pair: Pair, said: str | None) -> None:
    found = find_objection(pair, RULES)
    assert found == said if said is None else said in str(found)


def test_a_second_extract_of_mostly_new_customers_is_of_others() -> None:
    pair = a_pair(retained=200)
    grown = replace(pair, second=replace(pair.second, customers=2001))
    assert find_objection(pair, RULES) is None
    assert "90.0% of the second one's are not in the first" in str(find_objection(grown, RULES))


def test_a_bad_pair_is_left_out_however_good_the_others_are() -> None:
    """Pooled they would pass: 939 of 2,427 rows left."""
    history = published("a", "b", "c", "d")
    pairs = [
        Pair(first, second, retained, 809, positives)
        for (first, second), (retained, positives) in zip(
            pairwise(history), [(735, 130), (0, 809), (735, 0)], strict=True
        )
    ]
    fit, left_out = select_plausible(pairs, RULES)
    assert fit == pairs[:1]
    assert [each.extracts for each in left_out] == [
        ["2024-02-01", "2024-03-03"],
        ["2024-03-03", "2024-04-03"],
    ]
    label = choose_label(fit, OF_WORKBOOK, 4, left_out)
    assert (label.kind, label.days_between, label.left_out) == (OBSERVED, [31], left_out)
    assert "left out: 2024-02-01 to 2024-03-03, of other customers: 0.0%" in label.reason
    nothing = choose_label([], OF_WORKBOOK, 4, left_out)
    assert nothing.kind == WORKBOOK
    assert "no pair of extracts was plausible" in nothing.reason


def test_many_that_are_left_out_are_counted() -> None:
    left_out = [Exclusion([f"2024-01-0{day}"], OLDER) for day in (1, 2)]
    left_out += [Exclusion([f"2024-02-0{day}"], "odd") for day in (1, 2, 3, 4, 5)]
    reason = choose_label([], OF_WORKBOOK, 1, left_out).reason
    assert f"(left out: 2 {OLDER}; 2024-02-03, odd; " in reason
    assert reason.endswith("2024-02-05, odd; and 2 more)")


def test_an_extract_declared_to_be_of_others_takes_no_part() -> None:
    history = published("a", "b", "c", "d")
    usable, left_out = select_eligible(history, history[:1], {"c"})
    assert [each.batch_id for each in usable] == ["b", "d"]
    assert left_out[0] == Exclusion(["2024-01-01"], OLDER)
    assert left_out[1].extracts == ["2024-03-03"]
    assert "declared to be of other customers" in left_out[1].reason
    # where there is nothing else, the latest one's own marks will do
    alone, others = select_eligible(history[2:3], [], {"c"})
    assert (alone, others) == (history[2:3], [])


def test_the_rules_are_those_that_are_declared(tmp_path: Path) -> None:
    rules, gate = read_pair_rules(), read_domain().variables["gate_rules"]
    assert rules.retained_at_least == gate["customers_retained"]["at_least"]
    assert rules.new_at_most == gate["new_customers_bounded"]["at_most"]
    assert 0 < rules.days[0] < 28 < 31 < rules.days[1]
    assert 0 < rules.churn_rate[0] < rules.churn_rate[1] < 1
    # a rule that is gone from the gate is no reason to check nothing
    without = Path(shutil.copytree(DOMAINS / "telco", tmp_path / "domain"))
    declared = yaml.safe_load((without / "rules.yml").read_text())
    del declared["gate_rules"]["customers_retained"]
    (without / "rules.yml").write_text(yaml.safe_dump(declared))
    with pytest.raises(ChurnError, match="customers_retained"):
        read_pair_rules(domain=without)
    reversed_limits = tmp_path / "labels.yml"
    reversed_limits.write_text(
        "days: {at_least: 9, at_most: 7}\nchurn_rate: {at_least: 0, at_most: 1}"
    )
    with pytest.raises(ChurnError, match="at_least 9 is above at_most 7"):
        read_pair_rules(reversed_limits)


# --- what identifies a training set --------------------------------------------------------------


def test_the_signature_changes_with_each_load_that_takes_part() -> None:
    of_three = hash_training_set(OBSERVED, [published("a", "b", "c")], ["tenure"])
    others = [
        hash_training_set(OBSERVED, [published("a", "x", "c")], ["tenure"]),
        hash_training_set(OBSERVED, [published("a", "b", "x")], ["tenure"]),
        hash_training_set(OBSERVED, [published("b", "c")], ["tenure"]),
        hash_training_set(OBSERVED, [published("a", "b", "c")], ["tenure", "partner"]),
        hash_training_set(OBSERVED, [published("a", "b"), published("b", "c")], ["tenure"]),
        hash_training_set(WORKBOOK, [published("a", "b", "c")], ["tenure"]),
    ]
    assert len({of_three, *others}) == 1 + len(others)
    # the workbook's label is of the latest extract alone
    latest = hash_training_set(WORKBOOK, [published("a", "x", "c")], ["tenure"])
    assert latest == hash_training_set(WORKBOOK, [published("c")], ["tenure"]) == others[-1]


def test_signatures_are_those_of_the_versions_before() -> None:
    """Computed by the version before pairs were left out: its models need no training again."""
    of_pairs, of_workbook = "23470a8542292406", "7dd43da7ea930cd8"  # pragma: allowlist secret
    assert hash_training_set(OBSERVED, [published("a", "b", "c")], ["tenure"]).startswith(of_pairs)
    assert hash_training_set(WORKBOOK, [published("c")], ["tenure"]).startswith(of_workbook)


def test_runs_are_broken_where_a_pair_is_missing() -> None:
    a, b, c, d, e = published("a", "b", "c", "d", "e")
    pairs = [Pair(first, second, 1, 1, 1) for first, second in ((a, b), (b, c), (d, e))]
    assert _group_runs(pairs) == [[a, b, c], [d, e]]


def test_over_several_extracts_the_rows_of_a_customer_stay_together() -> None:
    def together(*pairs: Pair) -> list[str]:
        label = choose_label(pairs, OF_WORKBOOK, 2)
        return TrainingSet(lambda: None, ["tenure"], JANUARY, "s", label).group_columns

    assert together() == ["tenure"]
    assert together(a_pair(positives=5)) == ["tenure"]
    assert together(a_pair(positives=200)) == ["customer_id"]
