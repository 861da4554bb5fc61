"""Find the licences of Python packages, as SPDX expressions."""

import re
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

DECLARED = Path(__file__).with_name("licenses.toml")
CLASSIFIER = "License :: "
# What metadata without a classifier often has in its older field.
EXPRESSION = re.compile(r"[\w.+-]+( (AND|OR) [\w.+-]+)*")


@cache
def read_declarations() -> dict[str, Any]:
    """Return licenses.toml: names, stated licences, and what is allowed."""
    return tomllib.loads(DECLARED.read_text())


def find_license(package: str) -> str | None:
    """Return the licence of a package: the one that licenses.toml states, else its metadata's.

    None means that neither has it: it is not installed here, or states nothing that is known.
    Several classifiers are joined by AND, the cautious reading.
    """
    declared = read_declarations()
    if package in declared["stated"]:
        return str(declared["stated"][package])
    try:
        described = metadata(package)
    except PackageNotFoundError:
        return None
    if expression := described.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in described.get_all("Classifier") or ()
        if each.startswith(CLASSIFIER) and each != f"{CLASSIFIER}OSI Approved"
    ]
    texts = classifiers or described.get_all("License") or [""]
    known = [_translate(text) for text in texts]
    return " AND ".join(name for name in known if name) if all(known) else None


def _translate(name: str) -> str | None:
    """Return the SPDX expression of what metadata says; it may be one already."""
    names = read_declarations()["names"]
    return str(names[name]) if name in names else name if EXPRESSION.fullmatch(name) else None
