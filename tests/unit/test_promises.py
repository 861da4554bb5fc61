"""Each test that docs/promises.md names exists, and no guarantee has only long tests unnoticed."""

import ast
import re
from collections.abc import Iterator

import pytest
import yaml

from lakehouse.settings import PROJECT

PAGE = PROJECT / "docs" / "promises.md"
LONG_ONLY = "`make test-long` only"
PYTEST_NAME = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
DBT_NAME = re.compile(r"`dbt::(\w+)`")
HEADER = "Guarantee"


def read_rows() -> list[tuple[str, str]]:
    """Return guarantee and test cell of every row."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines()]
    rows = [(row[0], row[-1]) for row in cells if len(row) == 3]
    return [row for row in rows if row[0] != HEADER and not row[0].startswith("---")]


def is_long(node: ast.AST) -> bool:
    """Return whether a function's decorators, or a module's `pytestmark`, mark tests as long."""
    if isinstance(node, ast.FunctionDef):
        return any("mark.long" in ast.unparse(decorator) for decorator in node.decorator_list)
    text = ast.unparse(node) if isinstance(node, ast.Assign) else ""
    return text.startswith("pytestmark") and "mark.long" in text


def find_pytest_tests() -> Iterator[tuple[str, str, bool]]:
    """Yield file name, function and whether it runs in `make test-long` only."""
    for path in (PROJECT / "tests").rglob("test_*.py"):
        nodes = ast.parse(path.read_text()).body
        is_long_module = any(is_long(node) for node in nodes if isinstance(node, ast.Assign))
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                yield path.name, node.name, is_long_module or is_long(node)


def find_dbt_tests() -> set[str]:
    """Return the names of dbt's unit tests, named data tests and the gate's tests."""
    folders = (PROJECT / "models", PROJECT / "domains" / "telco" / "tests")
    pages = [page.read_text() for folder in folders for page in folder.rglob("*.yml")]
    # The lists of columns in these files are templates, which YAML reads as text.
    named = {
        test["name"] for page in pages for test in yaml.safe_load(page).get("unit_tests") or []
    }
    data_tests = re.findall(r"^ +- \w+:\n +name: (\w+)$", "\n".join(pages), flags=re.MULTILINE)
    gate = (PROJECT / "tests" / "gate").glob("*.sql")
    return named | set(data_tests) | {path.stem for path in gate}


ROWS = read_rows()
PYTEST_TESTS = {(file, name): long for file, name, long in find_pytest_tests()}
DBT_TESTS = find_dbt_tests()


@pytest.mark.parametrize(("guarantee", "tests"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_a_guarantee_names_tests_that_exist(guarantee: str, tests: str) -> None:
    pytest_names = PYTEST_NAME.findall(tests)
    dbt_names = DBT_NAME.findall(tests)
    assert len(pytest_names) + len(dbt_names) == tests.count("::"), "a name is misspelt"
    assert bool(pytest_names or dbt_names) != tests.startswith("no test"), guarantee
    assert set(pytest_names) <= set(PYTEST_TESTS)
    assert set(dbt_names) <= DBT_TESTS
    if pytest_names and not dbt_names:
        only_long = all(PYTEST_TESTS[name] for name in pytest_names)
        assert only_long == (LONG_ONLY in tests), guarantee


def test_the_page_has_all_its_rows() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    titles = sum(line.startswith(f"| {HEADER} |") for line in lines)
    assert len(ROWS) == len(lines) - titles
