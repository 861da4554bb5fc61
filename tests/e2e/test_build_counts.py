"""How much a build asks of the server: counts, which do not depend on the machine."""

import time
from dataclasses import replace
from pathlib import Path

from environments import Environments
from event_log import Counts, EventLog
from monthly import date_of, tables_only

# Of a build of one more month: the limits are a little above what it takes (50, 5, 223, 204, 352).
LIMITS = Counts(statements=50, sessions=6, executions=240, jobs=220, tasks=390)


def test_a_monthly_build_stays_below_the_limits(
    environments: Environments, months: list[Path], tmp_path: Path
) -> None:
    log = EventLog(tmp_path)
    plain = environments.new("counted")
    home = replace(plain, environ=plain.environ | log.environ)
    tables_only(home, months[0])
    home.churn("ingest", months[1], "--extract-date", date_of(months[1]))
    begun = time.time()
    # as a run of the pipeline calls it: without unit tests, with all tests of the data
    home.churn("build", "--exclude-resource-type", "unit_test")
    home.churn("down")
    counts = log.counts(begun)
    assert counts.over(LIMITS) == {}, counts
    # else nothing was counted
    assert counts.statements > 30 and counts.jobs > 30 and counts.tasks >= counts.jobs
