"""Count what a Spark server did, by its event log: noise of the machine does not change that."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COUNTED = {
    "SparkListenerThriftServerOperationStart": "statements",
    "SparkListenerThriftServerSessionCreated": "sessions",
    "SparkListenerSQLExecutionStart": "executions",
    "SparkListenerJobStart": "jobs",
    "SparkListenerTaskStart": "tasks",
}


@dataclass(frozen=True)
class Counts:
    """Statements and sessions over Thrift; what Spark made of them, and of Connect's requests."""

    statements: int = 0
    sessions: int = 0
    executions: int = 0
    jobs: int = 0
    tasks: int = 0

    def over(self, limits: "Counts") -> dict[str, int]:
        """The counts that are above their limits."""
        bounds = asdict(limits)
        return {name: number for name, number in asdict(self).items() if number > bounds[name]}


@dataclass(frozen=True)
class EventLog:
    """The event log of the server that is started with `environ`."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """The variable with which a Spark server writes the log."""
        events, settings = self.folder / "events", self.folder / "spark-conf"
        for each in (events, settings):
            each.mkdir(parents=True, exist_ok=True)
        lines = [
            "spark.eventLog.enabled true",
            f"spark.eventLog.dir {events.as_uri()}",
            "spark.eventLog.rolling.enabled false",
            "spark.eventLog.compress false",
            "spark.eventLog.buffer.kb 1k",
        ]
        (settings / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
        return {"SPARK_CONF_DIR": str(settings)}

    def counts(self, since: float) -> Counts:
        """What happened after a moment, in seconds since 1970; the server should have ended."""
        found: Counter[str] = Counter()
        text = max((self.folder / "events").iterdir()).read_text()
        # A server that was stopped leaves its last line incomplete. Statements have characters that
        # `splitlines` would take for the ends of lines.
        for line in text[: text.rindex("\n")].split("\n"):
            event = json.loads(line)
            kind = COUNTED.get(event["Event"].rpartition(".")[2])
            if kind is not None and _milliseconds(event) >= since * 1000:
                found[kind] += 1
        return Counts(**found)


def _milliseconds(event: dict[str, Any]) -> int:
    names = ("time", "startTime", "Submission Time")
    moment = next((event[name] for name in names if name in event), None)
    return int(event["Task Info"]["Launch Time"] if moment is None else moment)
