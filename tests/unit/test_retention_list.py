"""The reasons of the retention list: what tells customers apart, and what a caller may be told."""

from typing import Any

from churn.reports.retention_list import (
    _find_raising_reasons,
    find_common_reasons,
    select_reasons,
)


def row(number: int, **contributions: float) -> dict[str, Any]:
    """A customer with what each reason adds to the risk; its text is its name."""
    return {
        "customer_id": str(number),
        "contributions": [
            {"feature": feature, "text": feature.replace("_", " "), "contribution": value}
            for feature, value in contributions.items()
        ],
    }


def test_a_sensitive_reason_is_not_on_the_list_and_the_rest_is_ordered() -> None:
    rows = [row(1, bill=0.3, age=2.0, contract=0.9, paper=0.01), row(2, bill=0.2, contract=0.9)]
    raising = _find_raising_reasons(rows, {"age"})
    # The bill is .05 above the mean of both, the contract equal to it; .01 is no reason.
    assert raising == {"1": ["bill", "contract"], "2": ["contract", "bill"]}
    # A listed customer has a reason, even if all are small; what lowers the risk is none.
    small = [row(1, bill=0.01, paper=0.02, contract=-1.0), row(2, contract=-1.0)]
    assert _find_raising_reasons(small, set()) == {"1": ["paper"], "2": []}


def test_what_most_have_in_common_comes_last() -> None:
    raising = [["a", "b"], ["b", "a"], ["b"], ["c", "b", "a"], []]
    common = find_common_reasons(raising)
    assert common == [("b", 4), ("a", 3)]
    # What most lack comes first; up to three, what they have in common follows.
    assert [select_reasons(each, common) for each in raising] == raising
    assert select_reasons(["b", "a", "x", "y"], common) == ["x", "y", "b"]
    assert select_reasons(list("vwxyz"), []) == ["v", "w", "x"]
    assert find_common_reasons([["a"]]) == find_common_reasons([]) == []
