"""A client of Airflow's REST API, as an operator's script would be one."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

ENDED = {"success", "failed"}


@dataclass
class Airflow:
    """Airflow at an address, as `admin`."""

    address: str
    password: str
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.address, timeout=60)
        answer = self._client.post(
            "/auth/token", json={"username": "admin", "password": self.password}
        )
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._client.request(method, f"/api/v2{path}", **arguments)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def switch_on(self, dag: str) -> None:
        """Wait until the DAG is known, then unpause it."""
        deadline = time.monotonic() + 120
        while self._client.get(f"/api/v2/dags/{dag}").status_code == 404:
            assert time.monotonic() < deadline, f"{dag} is not known to Airflow"
            time.sleep(1)
        self.call("PATCH", f"/dags/{dag}", json={"is_paused": False})

    def trigger(self, dag: str, run_id: str, **parameters: Any) -> None:
        body = {"dag_run_id": run_id, "logical_date": None, "conf": parameters}
        self.call("POST", f"/dags/{dag}/dagRuns", json=body)

    def run(self, dag: str, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/dags/{dag}/dagRuns/{run_id}")
        return found

    def run_ids(self, dag: str, run_type: str | None = None) -> list[str]:
        """The runs that there are, of one type or of all."""
        parameters = {"run_type": run_type} if run_type else {}
        found = self.call("GET", f"/dags/{dag}/dagRuns", params=parameters)["dag_runs"]
        return [each["dag_run_id"] for each in found]

    def backfill(self, dag: str, day: str) -> None:
        """Ask for the run that the schedule would have made on that day."""
        body = {
            "dag_id": dag,
            "from_date": f"{day}T00:00:00Z",
            "to_date": f"{day}T23:59:59Z",
            "run_backwards": False,
            "dag_run_conf": {},
        }
        self.call("POST", "/backfills", json=body)

    def wait(self, dag: str, run_id: str, seconds: float = 600) -> str:
        """The state in which the run ends."""
        deadline = time.monotonic() + seconds
        while (state := self.run(dag, run_id)["state"]) not in ENDED:
            assert time.monotonic() < deadline, self.states(dag, run_id)
            time.sleep(1)
        return str(state)

    def states(self, dag: str, run_id: str) -> dict[str, str | None]:
        """The state of each task."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances"
        found = self.call("GET", path, params={"limit": 100})["task_instances"]
        return {each["task_id"]: each["state"] for each in found}

    def tries(self, dag: str, run_id: str, task: str) -> int:
        """How often a task was tried."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}"
        return int(self.call("GET", path)["try_number"])

    def result(self, dag: str, run_id: str, task: str) -> Any:
        """What a task returned."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value"
        value = self.call("GET", path, params={"deserialize": False})["value"]
        return json.loads(value) if isinstance(value, str) else value

    def log(self, dag: str, run_id: str, task: str, try_number: int = 1) -> str:
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/{try_number}"
        content = self.call("GET", path, params={"full_content": True})["content"]
        return "\n".join(each if isinstance(each, str) else each["event"] for each in content)

    def clear(self, dag: str, run_id: str, *tasks: str) -> None:
        """Have just these tasks run again."""
        body = {
            "dry_run": False,
            "only_failed": False,
            "dag_run_id": run_id,
            "task_ids": list(tasks),
        }
        self.call("POST", f"/dags/{dag}/clearTaskInstances", json=body)

    def respond(self, dag: str, run_id: str, task: str, option: str, **entered: Any) -> None:
        """As a person responds to a task that waits for one."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/-1/hitlDetails"
        self.call("PATCH", path, json={"chosen_options": [option], "params_input": entered})

    def wait_until(self, dag: str, run_id: str, task: str, *states: str) -> None:
        """Wait until the task is in one of the states."""
        deadline = time.monotonic() + 240
        while self.states(dag, run_id).get(task) not in states:
            assert time.monotonic() < deadline, self.states(dag, run_id)
            time.sleep(0.5)

    def mark_success(self, dag: str, run_id: str, task: str) -> None:
        """As an operator marks it; the task itself is not run."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}"
        self.call("PATCH", path, json={"new_state": "success"})

    def links(self, dag: str, run_id: str, task: str) -> dict[str, str]:
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/links"
        found: dict[str, str] = self.call("GET", path)["extra_links"]
        return found
