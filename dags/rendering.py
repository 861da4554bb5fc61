"""dbt's models and tests as Airflow tasks, in the stages that the models declare.

Cosmos renders them from the manifest in its watcher mode: one task, the producer, runs one
`dbt build` of everything, and each model and each test is a task that watches it. A task that is
run again by itself calls dbt for its own node (docs/decisions/0009-one-dbt-call.md).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, TaskGroup
from cosmos import ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.airflow.graph import generate_task_or_group
from cosmos.constants import DbtResourceType, ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.converter import DbtToAirflowConverter
from cosmos.dbt.graph import DbtNode
from cosmos.operators.watcher import DbtTestWatcherOperator

from dags.openlineage_parents import NAMES, PARENTS, parents_of
from dags.tasks import run_id_of
from lakehouse.settings import Settings

POLL_SECONDS = 1
# What the run's name is called in Airflow's templates.
RUN_ID = "churn_run_id"
# Cosmos lets no producer run a second time: tried again it is skipped, and the tasks that watch it
# do its work. By then those of them that wait have seen what it has said.
PRODUCER: dict[str, Any] = {
    "retries": 1,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": False,
}


@dataclass(frozen=True)
class Rendered:
    """The producer and the stages' groups of tasks."""

    producer: BaseOperator
    groups: dict[str, TaskGroup]


class OneTest(DbtTestWatcherOperator):  # type: ignore[misc]
    """Watches one test that reads several models; run again by itself, it runs just that test."""

    def _fallback_to_non_watcher_run(self, try_number: int, context: Any) -> bool:
        # Cosmos would select by the unique id, which matches nothing, and nothing is green.
        name = self.model_unique_id.split(".")[2]
        self.build_and_run_cmd(context, cmd_flags=["--select", name])
        return True


class Stages:
    """Puts each node into the group of its stage: a model's own, of a test's models the last."""

    def __init__(
        self,
        dag: DAG,
        names: Sequence[str],
        manifest: Mapping[str, Any],
        models: Mapping[str, Any],
        tests: Mapping[str, Any],
    ) -> None:
        self.groups = {name: TaskGroup(group_id=name, dag=dag) for name in names}
        self.single_tests: list[str] = []
        nodes = manifest["nodes"].values()
        self._stages = {
            node["unique_id"]: node["config"]["meta"]["stage"]
            for node in nodes
            if node["resource_type"] == "model"
        }
        self._test_nodes = {node["name"]: node for node in nodes if node["resource_type"] == "test"}
        self._models = models
        self._tests = tests

    def model(self, *, dag: DAG, node: DbtNode, **rendering: Any) -> TaskGroup | BaseOperator:
        """Cosmos's own rendering of a model and its tests, in the group of the model's stage."""
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
        if isinstance(made, TaskGroup):
            for name, value in self._tests.items():
                setattr(made.children[f"{made.group_id}.test"], name, value)
        return made

    def test(
        self, *, dag: DAG, task_id: str, task_args: Mapping[str, Any], **_: Any
    ) -> BaseOperator:
        """A test of several models, in the last of their stages."""
        # Cosmos hands over the test's name with a suffix, and some other node.
        test = self._test_nodes[task_id.removesuffix("_test")]
        self.single_tests.append(test["unique_id"])
        names = list(self.groups)
        stages = [
            self._stages[each] for each in test["depends_on"]["nodes"] if each in self._stages
        ]
        return OneTest(
            task_id=test["name"],
            dag=dag,
            task_group=self.groups[max(stages, key=names.index)],
            extra_context={"dbt_node_config": {"unique_id": test["unique_id"]}},
            **{**task_args, **self._tests},
        )


def render(  # long: one call, with all that Cosmos is told
    dag: DAG,
    settings: Settings,
    names: Sequence[str],
    models: Mapping[str, Any],
    tests: Mapping[str, Any],
) -> Rendered:
    """Put the dbt project into the DAG, a group of tasks for each stage of `names`, in order.

    `models` and `tests` are further arguments of the tasks of either kind.

    Raises:
        FileNotFoundError: the manifest was not made.
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
            # A process of its own ends as dbt does anywhere: it clears up and gives the run lock
            # back, which a task's process, ended without Python's leave, does not.
            invocation_mode=InvocationMode.SUBPROCESS,
            setup_operator_args={**models, **PRODUCER},
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.AFTER_EACH,
            should_detach_multiple_parents_tests=True,
            emit_datasets=False,
            node_conversion_by_task_group=True,
            # Functions, since Cosmos makes a deep copy of this: of a method's object too.
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
    _report_single_tests(producer, stages.single_tests)
    return Rendered(producer, stages.groups)


def project(settings: Settings) -> ProjectConfig:
    """The dbt project, as Cosmos is told of it."""
    return ProjectConfig(
        dbt_project_path=settings.project,
        manifest_path=find_manifest(settings),
        install_dbt_deps=False,
    )


def profile(settings: Settings) -> ProfileConfig:
    """How dbt reaches the Spark server."""
    return ProfileConfig(
        profile_name="churn",
        target_name="server",
        profiles_yml_filepath=settings.project / "profiles.yml",
    )


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables of every dbt call of a DAG."""
    # A monthly run has no need of unit tests: they look at code, not at data.
    return {**settings.for_dbt(), "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"}


def find_manifest(settings: Settings) -> Path:
    """The manifest that `churn airflow up` made, else the one of the last dbt call.

    Raises:
        FileNotFoundError: there is none.
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
    """Let the producer report those tests by themselves, not with each model that they read."""
    single = set(single_tests)
    alone = {test: [test] for test in single_tests}
    shared = {
        model: [test for test in tests if test not in single]
        for model, tests in producer.tests_per_model.items()
    }
    producer.tests_per_model = {**{key: each for key, each in shared.items() if each}, **alone}
