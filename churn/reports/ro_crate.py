"""Describe an archive as an RO-Crate 1.1, so that other tools understand what is in it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse import commit_metadata
from trainer.record import ModelRecord

FILE = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
Entity = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A file of the archive: its content, its media type and what it is."""

    content: bytes
    media_type: str
    description: str


def describe_archive(
    record: ModelRecord, parts: Mapping[str, Part], written: datetime
) -> dict[str, Any]:
    """Return the metadata of an archive of these parts, by name, as JSON-LD."""
    return {
        "@context": f"{SPECIFICATION}/context",
        "@graph": [
            {
                "@id": FILE,
                "@type": "CreativeWork",
                "conformsTo": {"@id": SPECIFICATION},
                "about": {"@id": "./"},
            },
            {
                "@id": "./",
                "@type": "Dataset",
                "name": f"Evidence of the churn model {record.version}",
                "description": "What the model is, what it learned from, how good it is, where its "
                "limits are, who approved it, and the software that it is made with.",
                "datePublished": written.date().isoformat(),
                "license": {"@id": "#terms"},
                "author": {"@id": "#author"},
                "publisher": {"@id": "#operator"},
                "mentions": {"@id": "#training"},
                "hasPart": [{"@id": name} for name in parts],
            },
            *(_describe_part(name, part) for name, part in parts.items()),
            *_describe_training(record),
        ],
    }


def _describe_part(name: str, part: Part) -> Entity:
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "description": part.description,
        "encodingFormat": part.media_type,
        "contentSize": str(len(part.content)),
        "sha256": hashlib.sha256(part.content).hexdigest(),
    }


def _describe_training(record: ModelRecord) -> Iterator[Entity]:
    """Yield how the model came about: software, workbooks, the training itself."""
    yield from _describe_operator()
    code = record.lineage.get("code", {})
    yield {
        "@id": "#software",
        "@type": "SoftwareApplication",
        "name": "telco-churn",
        "version": str(code.get("version") or "unknown"),
        "identifier": str(code.get("commit") or "unknown"),
    }
    loads = record.lineage.get("loads", [])
    workbooks = {f"#workbook-{load['workbook']['sha256']}": load["workbook"] for load in loads}
    for name, workbook in workbooks.items():
        yield {
            "@id": name,
            "@type": "CreativeWork",
            "name": workbook["file"],
            "identifier": f"sha256:{workbook['sha256']}",
        }
    yield {
        "@id": "#training",
        "@type": "CreateAction",
        "name": f"Training of {record.version}",
        "endTime": record.created.isoformat(),
        "instrument": {"@id": "#software"},
        "result": {"@id": "record.json"},
        **_refer("object", list(workbooks)),
    }


def _describe_operator() -> Iterator[Entity]:
    yield {
        "@id": "#terms",
        "@type": "CreativeWork",
        "name": "Internal use",
        "description": "Not published: the owner of the data decides on any other use.",
    }
    yield {
        "@id": "#author",
        "@type": "Person",
        "name": commit_metadata.user() or "unknown",
        "affiliation": {"@id": "#operator"},
    }
    yield {"@id": "#operator", "@type": "Organization", "name": "The operator of this pipeline"}


def _refer(name: str, entities: list[str]) -> Entity:
    """Return a property that refers to entities: none, one, or a list, as the format has it."""
    listed = [{"@id": each} for each in entities]
    return {name: listed[0] if len(listed) == 1 else listed} if listed else {}
