"""List the software that a model is made and used with, from uv.lock and jars.toml, as CycloneDX.

The list has what an installation needs: the declared dependencies with theirs, on any platform, and
the JARs of the Spark server; no tools for development.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakehouse.jars import LIST
from lakehouse.project_files import PROJECT

NAME = "telco-churn"
LOCK = PROJECT / "uv.lock"
Component = dict[str, Any]


def read_bill_of_materials(lock: Path = LOCK, jars: Path = LIST) -> dict[str, Any]:
    """Return the components as a CycloneDX document; Python packages only if there is a lock."""
    packages = _list_packages(tomllib.loads(lock.read_text())["package"]) if lock.exists() else []
    listed = tomllib.loads(jars.read_text())["jar"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": NAME}},
        "components": [*packages, *map(_describe_jar, listed)],
    }


def _list_packages(locked: list[Mapping[str, Any]]) -> list[Component]:
    """Return the packages that the project needs, by following dependencies and their extras."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for package in locked:
        by_name.setdefault(package["name"], []).append(package)
    seen: set[str] = set()
    waiting: list[Mapping[str, Any]] = [{"name": NAME}]
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.get("extra", ())):
            if (key := f"{wanted['name']}[{extra}]") in seen:
                continue
            seen.add(key)
            for package in by_name.get(wanted["name"], ()):
                optional = package.get("optional-dependencies", {}).get(extra, [])
                waiting += optional if extra else package.get("dependencies", [])
    needed = sorted({key.partition("[")[0] for key in seen} - {NAME})
    return [_describe_package(package) for name in needed for package in by_name.get(name, ())]


def _describe_package(package: Mapping[str, Any]) -> Component:
    name, version = package["name"], package["version"]
    hashes = [package["sdist"]] if "sdist" in package else package.get("wheels", [])
    return _describe(f"pkg:pypi/{name}@{version}", name, version, [each["hash"] for each in hashes])


def _describe_jar(jar: Mapping[str, Any]) -> Component:
    group, name, version = jar["group"], jar["artifact"], jar["version"]
    address = f"pkg:maven/{group}/{name}@{version}"
    return {**_describe(address, name, version, [f"sha256:{jar['sha256']}"]), "group": group}


def _describe(address: str, name: str, version: str, hashes: list[str]) -> Component:
    """Return a component; `hashes` are those of its files, of which any may be installed."""
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": address,
        "hashes": [
            {"alg": "SHA-256", "content": each.removeprefix("sha256:")}
            for each in hashes
            if each.startswith("sha256:")
        ],
    }
