"""Of which task a command is a part, told by the variables that OpenLineage has for it."""

from typing import Any

# What they are called in Airflow's templates.
PARENTS = "openlineage_parents"
NAMES = ("OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID")


def parents_of(task_instance: Any) -> dict[str, str]:
    """The task's own run, and that of its DAG; both empty where Airflow tells no lineage."""
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.plugins.macros import (
        lineage_parent_id,
        lineage_root_parent_id,
    )

    if conf.is_disabled():
        return dict.fromkeys(NAMES, "")
    found = (lineage_parent_id(task_instance), lineage_root_parent_id(task_instance))
    return dict(zip(NAMES, found, strict=True))
