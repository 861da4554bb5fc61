"""The sides of the benchmarks do the same work: their gold is ours, value by value."""

from pathlib import Path

import pytest

CUSTOMERS = 7043


@pytest.mark.long
def test_every_side_comes_to_our_gold(tmp_path: Path) -> None:
    """The case itself compares each alternative's gold with ours, and fails where they differ."""
    pytest.importorskip("dbt.adapters.duckdb", reason="the alternatives are of the group `bench`")
    from benchmarks.cases import full_build

    sides = full_build.run(tmp_path, CUSTOMERS, rounds=1)
    assert set(sides) == {"churn", *full_build.ALTERNATIVES}
    assert all(each.seconds[0] > 0 and each.gib[0] > 0 for each in sides.values())
