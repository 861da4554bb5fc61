"""The graph of datasets and columns that OpenLineage events describe."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
# A dataset, by namespace and name; and a column of one.
Place = tuple[str, str]
Column = tuple[Place, str]


@dataclass
class Graph:
    """What leads to what, over the events of one run."""

    datasets: dict[Place, set[Place]] = field(default_factory=lambda: defaultdict(set))
    columns: dict[Column, set[Column]] = field(default_factory=lambda: defaultdict(set))

    def add(self, event: Event) -> None:
        for output in event.get("outputs", []):
            for each in event.get("inputs", []):
                self.datasets[place(each)].add(place(output))
            lineage = output["facets"].get("columnLineage", {}).get("fields", {})
            for column, of in lineage.items():
                for each in of["inputFields"]:
                    self.columns[(place(each), each["field"])].add((place(output), column))


def place(dataset: Event) -> Place:
    return dataset["namespace"], dataset["name"]


def leads(edges: dict[Any, set[Any]], start: Any, end: Any) -> bool:
    seen, waiting = set(), [start]
    while waiting:
        each = waiting.pop()
        if each == end:
            return True
        if each not in seen:
            seen.add(each)
            waiting += edges.get(each, ())
    return False
