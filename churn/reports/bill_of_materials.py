"""List the software that a model is made and used with, from uv.lock and jars.toml, as CycloneDX.

The list has what an installation needs: the declared dependencies with theirs, on any platform, and
the JARs of the Spark server; no tools for development.

    python -m churn.reports.bill_of_materials

prints it.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from churn.reports.licenses import find_license
from lakehouse.jars import LIST
from lakehouse.project_files import NAME, PROJECT

LOCK = PROJECT / "uv.lock"
LICENSE = "Apache-2.0"  # as in pyproject.toml
Component = dict[str, Any]
Package = Mapping[str, Any]


def read_bill_of_materials(lock: Path = LOCK, jars: Path = LIST) -> dict[str, Any]:
    """Return the components as a CycloneDX document; Python packages only if there is a lock."""
    locked = tomllib.loads(lock.read_text())["package"] if lock.exists() else []
    packages, extras = _list_packages(locked)
    listed = [_describe_jar(jar) for jar in tomllib.loads(jars.read_text())["jar"]]
    own = next((_address(each) for each in locked if each["name"] == NAME), f"pkg:pypi/{NAME}")
    needed = {_address(package): package for package in packages}
    direct = [each for each in locked if each["name"] == NAME]
    graph = {address: _requirements(package, extras, needed) for address, package in needed.items()}
    required = [address for each in direct for address in _requirements(each, extras, needed)]
    graph[own] = sorted({*required, *(jar["purl"] for jar in listed)})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _describe_own(own)},
        "components": [*map(_describe_package, packages), *listed],
        "dependencies": [{"ref": ref, "dependsOn": found} for ref, found in graph.items()],
    }


def _list_packages(locked: list[Package]) -> tuple[list[Package], Mapping[str, set[str]]]:
    """Return the packages that the project needs, and the extras of each.

    They are found by following dependencies and the dependencies of their extras.
    """
    by_name: dict[str, list[Package]] = {}
    for package in locked:
        by_name.setdefault(package["name"], []).append(package)
    extras: dict[str, set[str]] = {}
    waiting: list[Package] = [{"name": NAME}]
    while waiting:
        wanted = waiting.pop()
        seen = extras.setdefault(wanted["name"], set())
        for extra in {"", *wanted.get("extra", ())} - seen:
            seen.add(extra)
            for package in by_name.get(wanted["name"], ()):
                waiting += _dependencies(package, extra)
    names = sorted({*extras} - {NAME})
    return [package for name in names for package in by_name.get(name, ())], extras


def _dependencies(package: Package, extra: str) -> list[Package]:
    """Return what a package needs, or additionally needs for an extra."""
    if not extra:
        return list(package.get("dependencies", []))
    return list(package.get("optional-dependencies", {}).get(extra, []))


def _requirements(
    package: Package, extras: Mapping[str, set[str]], needed: Mapping[str, Package]
) -> list[str]:
    """Return the addresses of what a package needs; of several versions, the one it names."""
    wanted = [
        each
        for extra in extras.get(package["name"], {""})
        for each in _dependencies(package, extra)
    ]
    return sorted(
        {
            address
            for each in wanted
            for address, found in needed.items()
            if found["name"] == each["name"]
            and each.get("version", found["version"]) == found["version"]
        }
    )


def _address(package: Package) -> str:
    """Return the package URL."""
    return f"pkg:pypi/{package['name']}@{package['version']}"


def _describe_own(address: str) -> Component:
    version = address.partition("@")[2]
    described = {"type": "application", "name": NAME, "bom-ref": address, "purl": address}
    licenses = {"licenses": [{"license": {"id": LICENSE}}]}
    return {**described, **({"version": version} if version else {}), **licenses}


def _describe_package(package: Package) -> Component:
    hashes = [package["sdist"]] if "sdist" in package else package.get("wheels", [])
    described = _describe(_address(package), package, [each["hash"] for each in hashes])
    return {**described, **_describe_license(find_license(package["name"]))}


def _describe_jar(jar: Mapping[str, Any]) -> Component:
    address = f"pkg:maven/{jar['group']}/{jar['artifact']}@{jar['version']}"
    named = {"name": jar["artifact"], "version": jar["version"]}
    described = _describe(address, named, [f"sha256:{jar['sha256']}"])
    return {**described, "group": jar["group"], **_describe_license(jar["license"])}


def _describe_license(expression: str | None) -> Component:
    return {"licenses": [{"expression": expression}]} if expression else {}


def _describe(address: str, named: Package, hashes: list[str]) -> Component:
    """Return a component; `hashes` are those of its files, of which any may be installed."""
    return {
        "type": "library",
        "bom-ref": address,
        "name": named["name"],
        "version": named["version"],
        "purl": address,
        "hashes": [
            {"alg": "SHA-256", "content": each.removeprefix("sha256:")}
            for each in hashes
            if each.startswith("sha256:")
        ],
    }


if __name__ == "__main__":
    print(json.dumps(read_bill_of_materials(), indent=1))
