"""How much a build asks of the server: counts, which do not depend on the machine."""

import time
from dataclasses import replace
from pathlib import Path

from environments import Environments
from event_log import Counts, EventLog
from monthly import date_of, tables_only

# Of a build of one more month.
LIMITS = Counts(statements=50, sessions=8, executions=170, jobs=130, tasks=390)


def test_a_monthly_build_stays_below_the_limits(
    environments: Environments, months: list[Path], tmp_path: Path
) -> None:
    log = EventLog(tmp_path)
    plain = environments.new("counted", is_brief=True)
    home = replace(plain, environ=plain.environ | log.environ)
    tables_only(home, months[0])
    home.churn("ingest", months[1], "--extract-date", date_of(months[1]))
    begun = time.time()
    home.churn("build")
    home.churn("down")
    counts = log.counts(begun)
    assert counts.over(LIMITS) == {}, counts
    # else nothing was counted
    assert counts.statements > 30 and counts.jobs > 30 and counts.tasks >= counts.jobs
