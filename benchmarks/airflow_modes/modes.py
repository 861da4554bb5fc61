"""DAGs of the dbt project alone, one for each way in which Cosmos can run it."""

import sys
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from cosmos.config import ExecutionConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.converter import DbtToAirflowConverter

from dags.rendering import dbt_environment, profile, project, render
from lakehouse.settings import read_settings

SETTINGS = read_settings()
ARGUMENTS: dict[str, Any] = {"append_env": True, "env": dbt_environment(SETTINGS)}


def local(dag: DAG, tests: TestBehavior) -> None:
    """A dbt call for each task; one at a time, as the run lock wants it."""
    DbtToAirflowConverter(
        dag=dag,
        project_config=project(SETTINGS),
        profile_config=profile(SETTINGS),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.SUBPROCESS,
            dbt_executable_path=Path(sys.executable).with_name("dbt"),
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=tests,
            should_detach_multiple_parents_tests=True,
            emit_datasets=False,
        ),
        operator_args=ARGUMENTS,
    )


with DAG("watcher", schedule=None, is_paused_upon_creation=False) as watcher:
    render(watcher, SETTINGS, ["clean", "engineer", "validate", "publish"], {}, {})

with DAG(
    "local_after_each", schedule=None, is_paused_upon_creation=False, max_active_tasks=1
) as local_after_each:
    local(local_after_each, TestBehavior.AFTER_EACH)

with DAG(
    "local_build", schedule=None, is_paused_upon_creation=False, max_active_tasks=1
) as local_build:
    local(local_build, TestBehavior.BUILD)
