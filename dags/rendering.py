"""Render dbt's models and tests as Airflow tasks, in the stages that the models declare.

Cosmos renders them from the manifest in its watcher mode: one task, the producer, runs a single
`dbt build` of everything, and each model and each test is a task that watches it. A task that is
rerun alone calls dbt for its own node (docs/decisions/0009-one-dbt-call.md).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, TaskGroup
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from cosmos import ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.airflow.graph import generate_task_or_group
from cosmos.constants import DbtResourceType, ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.converter import DbtToAirflowConverter
from cosmos.dbt.graph import DbtNode
from cosmos.operators.watcher import DbtTestWatcherOperator

from dags.docs import PRODUCER as PRODUCER_DOC
from dags.docs import format_node
from dags.tasks import NAMES, PARENTS, explain_failed_tests, parents_of, run_id_of
from lakehouse.dbt_project import project_folder
from lakehouse.project_files import PROJECT
from lakehouse.settings import Settings

POLL_SECONDS = 1
# Name of the function that returns the run's name, in Airflow's templates.
RUN_ID = "churn_run_id"
# Cosmos lets no producer run twice: a retry is skipped, and the tasks that watch it do its work. By
# then, those of them that wait have seen what the producer reported.
PRODUCER: dict[str, Any] = {
    "retries": 1,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": False,
}


@dataclass(frozen=True)
class Rendered:
    """Producer task, and the task groups of the stages."""

    producer: BaseOperator
    groups: dict[str, TaskGroup]


class SingleTestWatcher(DbtTestWatcherOperator):  # type: ignore[misc]
    """Watcher of one test that reads several models; rerun alone, it runs just that test.

    The gate's tests are of this kind. If one fails, the exception explains the failure.
    """

    def execute(self, context: Any, **kwargs: Any) -> None:
        """Wait for the test's result.

        Raises:
            AirflowSkipException: The test was not run.
            AirflowFailException: The test failed; the message explains it.
        """
        try:
            super().execute(context, **kwargs)
        except AirflowSkipException:
            raise
        except AirflowException:
            name = self.model_unique_id.split(".")[2]
            raise explain_failed_tests(context, [name]) from None

    def _fallback_to_non_watcher_run(self, try_number: int, context: Any) -> bool:
        # Cosmos would select by the unique id, which matches no node; an empty selection passes.
        name = self.model_unique_id.split(".")[2]
        self.build_and_run_cmd(context, cmd_flags=["--select", name])
        return True


class Stages:
    """Assignment of nodes to stages: a model to its own, a test to the last one of its models."""

    def __init__(
        self,
        dag: DAG,
        names: Mapping[str, str],
        manifest: Mapping[str, Any],
        models: Mapping[str, Any],
        tests: Mapping[str, Any],
    ) -> None:
        """Create the task groups.

        Args:
            dag: The DAG to add the groups to.
            names: Names of the stages, in order, with what happens in them.
            manifest: dbt's manifest.
            models: Additional arguments of the models' tasks.
            tests: Additional arguments of the tests' tasks.
        """
        self.groups = {
            name: TaskGroup(group_id=name, tooltip=text, dag=dag) for name, text in names.items()
        }
        self.single_tests: list[str] = []
        nodes = manifest["nodes"].values()
        self._stages = {
            node["unique_id"]: node["config"]["meta"]["stage"]
            for node in nodes
            if node["resource_type"] == "model"
        }
        self._docs = {
            node["unique_id"]: format_node(node)
            for node in nodes
            if node["resource_type"] in ("model", "test")
        }
        self._test_nodes = {node["name"]: node for node in nodes if node["resource_type"] == "test"}
        self._models = models
        self._tests = tests

    def model(self, *, dag: DAG, node: DbtNode, **rendering: Any) -> TaskGroup | BaseOperator:
        """Render a model and its tests as Cosmos does, in the group of the model's stage."""
        stage = self._stages[node.unique_id]
        render_config = RenderConfig(
            test_behavior=rendering["test_behavior"], should_detach_multiple_parents_tests=True
        )
        made = generate_task_or_group(
            dag=dag,
            node=node,
            task_group=self.groups[stage],
            task_args={**rendering["task_args"], **self._models},
            render_config=render_config,
            node_converters={},
            execution_mode=rendering["execution_mode"],
            test_indirect_selection=rendering["test_indirect_selection"],
            detached_from_parent=rendering["detached_from_parent"],
        )
        for task in made.children.values() if isinstance(made, TaskGroup) else [made]:
            task.doc_md = self._docs[node.unique_id]
        if isinstance(made, TaskGroup):
            for name, value in self._tests.items():
                setattr(made.children[f"{made.group_id}.test"], name, value)
        return made

    def test(
        self, *, dag: DAG, task_id: str, task_args: Mapping[str, Any], **_: Any
    ) -> BaseOperator:
        """Render a test of several models in the last of their stages."""
        # Cosmos passes the test's name with a suffix, and an unrelated node.
        test = self._test_nodes[task_id.removesuffix("_test")]
        self.single_tests.append(test["unique_id"])
        names = list(self.groups)
        stages = [
            self._stages[each] for each in test["depends_on"]["nodes"] if each in self._stages
        ]
        return SingleTestWatcher(
            task_id=test["name"],
            dag=dag,
            task_group=self.groups[max(stages, key=names.index)],
            doc_md=self._docs[test["unique_id"]],
            extra_context={"dbt_node_config": {"unique_id": test["unique_id"]}},
            **{**task_args, **self._tests},
        )


def render(  # long: one call, with all arguments of Cosmos
    dag: DAG,
    settings: Settings,
    names: Mapping[str, str],
    models: Mapping[str, Any],
    tests: Mapping[str, Any],
) -> Rendered:
    """Add the dbt project to the DAG, with one task group per stage, in order.

    Args:
        dag: The DAG.
        settings: The settings of this CHURN_HOME.
        names: Names of the stages, in order, with what happens in them.
        models: Additional arguments of the models' tasks.
        tests: Additional arguments of the tests' tasks.

    Returns:
        The producer task and the task groups.

    Raises:
        FileNotFoundError: The manifest does not exist.
    """
    stages = Stages(dag, names, json.loads(find_manifest(settings).read_text()), models, tests)
    macros = {RUN_ID: run_id_of, PARENTS: parents_of}
    dag.user_defined_macros = {**(dag.user_defined_macros or {}), **macros}
    converter = DbtToAirflowConverter(
        dag=dag,
        project_config=project(settings),
        profile_config=profile(settings),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            dbt_executable_path=Path(sys.executable).with_name("dbt"),
            # A separate process terminates as dbt does elsewhere: it cleans up and releases the
            # run lock, which a task's process does not do if it is killed.
            invocation_mode=InvocationMode.SUBPROCESS,
            setup_operator_args={**models, **PRODUCER},
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            # A load changes no campaign.
            exclude=["tag:campaigns"],
            test_behavior=TestBehavior.AFTER_EACH,
            should_detach_multiple_parents_tests=True,
            emit_datasets=False,
            node_conversion_by_task_group=True,
            # Functions, because Cosmos makes a deep copy of this, and would copy a method's object.
            node_converters={
                DbtResourceType.MODEL: lambda **node: stages.model(**node),
                DbtResourceType.TEST: lambda **node: stages.test(**node),
            },
        ),
        operator_args={
            "deferrable": False,
            "poke_interval": POLL_SECONDS,
            "append_env": True,
            "env": {
                **dbt_environment(settings),
                "CHURN_RUN_ID": f"{{{{ {RUN_ID}(dag_run) }}}}",
                **{name: f"{{{{ {PARENTS}(ti)['{name}'] }}}}" for name in NAMES},
            },
        },
    )
    producer = converter.tasks_map["dbt_producer_watcher"]
    producer.doc_md = PRODUCER_DOC
    _report_single_tests(producer, stages.single_tests)
    return Rendered(producer, stages.groups)


def project(settings: Settings) -> ProjectConfig:
    """Return the configuration of the dbt project for Cosmos."""
    return ProjectConfig(
        dbt_project_path=project_folder(settings.home),
        manifest_path=find_manifest(settings),
        install_dbt_deps=False,
    )


def profile(settings: Settings) -> ProfileConfig:
    """Return the configuration with which dbt connects to the Spark server."""
    return ProfileConfig(
        profile_name="churn",
        target_name="server",
        profiles_yml_filepath=PROJECT / "profiles.yml",
    )


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of every dbt call of a DAG."""
    # A monthly run does not need unit tests, which check code, not data.
    return {**settings.for_dbt(), "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"}


def find_manifest(settings: Settings) -> Path:
    """Return the manifest that `churn airflow up` wrote, else the one of the last dbt call.

    Raises:
        FileNotFoundError: There is no manifest.
    """
    places = [
        settings.home / "airflow" / "manifest.json",
        settings.home / "dbt" / "manifest.json",
        settings.project / "target" / "manifest.json",
    ]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"{places[0]} is missing: `churn airflow up` makes it")


def _report_single_tests(producer: Any, single_tests: Sequence[str]) -> None:
    """Make the producer report these tests individually, not with each model that they read."""
    single = set(single_tests)
    alone = {test: [test] for test in single_tests}
    shared = {
        model: [test for test in tests if test not in single]
        for model, tests in producer.tests_per_model.items()
    }
    producer.tests_per_model = {**{key: each for key, each in shared.items() if each}, **alone}
