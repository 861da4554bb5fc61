"""Run the job in dbt on DuckDB: one `dbt build` of the project next to this file.

python -m benchmarks.alternatives.dbt_duckdb_run BRONZE OUT
"""

import os
import sys
from pathlib import Path

from dbt.artifacts.schemas.results import NodeStatus
from dbt.cli.main import dbtRunner

from lakehouse.domain import read_domain

PROJECT = Path(__file__).with_name("dbt_duckdb")
# The variables of dbt_project.yml with the rules for rows and loads.
NAMES = (
    *("source_contract", "row_rules", "derived_features", "gate_metrics", "gate_rules"),
    *("drift", "expected_changes"),
)
# Exit codes: a model failed, or a load was not published.
FAILED, REFUSED = 1, 3


def run(bronze: Path, out: Path) -> int:
    """Build and test all models, writing below `out` only; return the exit code."""
    out.mkdir(parents=True)
    # DuckDB creates the folder of a table, but not its parent
    (out / "gold").mkdir()
    folders = {"bronze": str(bronze.resolve()), "out": str(out.resolve())}
    cores = len(os.sched_getaffinity(0))
    declared = read_domain().variables
    rules = {name: declared[name] for name in NAMES}
    result = dbtRunner().invoke(
        ["build"],
        project_dir=str(PROJECT),
        profiles_dir=str(PROJECT),
        target_path=str(out.resolve() / "target"),
        log_path=str(out.resolve() / "logs"),
        vars={**rules, **folders, "cores": cores},
    )
    if result.success:
        return 0
    statuses = {each.status for each in getattr(result.result, "results", ())}
    if result.exception or NodeStatus.Error in statuses:
        return FAILED
    return REFUSED


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))
