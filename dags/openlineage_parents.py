"""Describe the parent task of a command in OpenLineage's environment variables."""

from typing import Any

# Name of the function in Airflow's templates.
PARENTS = "openlineage_parents"
NAMES = ("OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID")


def parents_of(task_instance: Any) -> dict[str, str]:
    """Return the task's own run and its DAG's run; both empty if Airflow emits no lineage."""
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.plugins.macros import (
        lineage_parent_id,
        lineage_root_parent_id,
    )

    if conf.is_disabled():
        return dict.fromkeys(NAMES, "")
    found = (lineage_parent_id(task_instance), lineage_root_parent_id(task_instance))
    return dict(zip(NAMES, found, strict=True))
