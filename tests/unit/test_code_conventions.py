"""Conventions of the code that no linter checks.

Functions are short and named by a verb, no logic is written twice, every module is used, and every
model has its description beside it.
"""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from lakehouse.settings import PROJECT

LONGEST = 40
LONG = re.compile(r"#\s*long: \w+")
PACKAGES = ("churn", "dags", "feature_repo", "lakehouse", "seeds_loader", "serving", "trainer")
# How a module is called that nothing imports: by its name on a command line, by an entry point, or
# since Airflow loads all that lies in the folder of DAGs.
CALLED = r"\b{name}(?![\w.])"
SHORTEST_DUPLICATE = 6
# What begins a file says what it needs, not what it does: imports, a model's configuration, its
# import CTEs. Lines of brackets alone say nothing.
NEEDED = re.compile(
    r"^(from \S+ )?import (\w[^\n]*|\([^)]*\))$"
    r"|\{\{\s*config\(.*?\)\s*\}\}"
    r"|^\w+ as \(\s*select \* from \{\{ (ref|source)\([^}]*\}\}(\s*where \{\{[^}]*\}\})?\s*\),$",
    re.MULTILINE | re.DOTALL,
)
SAYS_SOMETHING = re.compile(r"^(?!#|--).*\w")
# Words that name no action, so that a function named by one gives no expectation (CONTRIBUTING.md).
# A participle may describe a noun: `passed_loads`, `damaged_error`.
WITHOUT_NOUN = (
    r"(_(about|again|anew|as|at|by|for|from|in|of"  # language: a word to find in names
    r"|on|to|together|until)(_|$)|$)"
)
PARTICIPLE = re.compile(
    r"(?!(embed|exceed|feed|need|proceed|seed|(started|ended|saved)_at)$)"
    r"([a-z]+ed|begun|broken|brought|built|caught|chosen|done|drawn|driven|found|given|gone|held"
    r"|hidden|kept|known|laid|left|lost|made|meant|said|seen|sent|shown|spelled|stood|taken|taught"
    r"|thought|told|torn|written)" + WITHOUT_NOUN
)
# `on_message_begin` and its kind are names of uvicorn's.
NO_VERB = re.compile(
    r"(follow|hold|judge|keep|lie|look|offer|stand|tell|void|walk)(_|$)"
    r"|(about|at|by|in|of|on(?!_(message|headers|body))|until|unless)_|(\w+_)in_words$"
    r"|(after|again|alone|anew|before|elsewhere"  # language: a word to find in names
    r"|now|of|then|there|together)$"
)
# A text of several lines or words is made by a formatter.
TEXT = re.compile(
    r"(?!(begins|check|draw|equals|format|has|is|read|render|require|write)_)"
    r"(\w+_)?(lines|text|words)$"
)
# The same job for another engine: that it is alike is what makes it a peer.
ALIKE_BY_PURPOSE = "benchmarks/alternatives/dbt_duckdb/"


def committed(pattern: str) -> list[Path]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    found = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [path for line in found.stdout.splitlines() if (path := PROJECT / line).exists()]


def too_long(source: str) -> Iterator[str]:
    """Names and lengths of functions that are too long and do not say why."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > LONGEST and not LONG.search(lines[node.lineno - 1]):
                yield f"{node.name}: {length} lines"


def test_a_function_is_short_or_says_why_not() -> None:
    found = {
        str(path.relative_to(PROJECT)): long
        for path in committed("*.py")
        if (long := list(too_long(path.read_text())))
    }
    assert not found, f"longer than {LONGEST} lines; shorten, or `# long: why` beside the name"


@pytest.mark.parametrize(
    ("definition", "is_found"),
    [
        ("def f():", True),
        ("async def f():", True),
        ("def f():  # long: a list of settings", False),
        ("def f():  # long:", True),
    ],
)
def test_the_check_finds_a_long_function(definition: str, is_found: bool) -> None:
    longest = f"{definition}\n" + "    pass\n" * (LONGEST - 1)
    assert not list(too_long(longest))
    assert bool(list(too_long(f"{longest}    pass\n"))) == is_found


def test_only_storage_knows_folders_from_buckets() -> None:
    """Everyone else asks `Settings.lake` and `Storage`."""
    knowing = re.compile(r"\blake_uri\b|\bs3a\b|\bS3FileSystem\b|LocalFileSystem\b.*isinstance")
    found = {
        str(path.relative_to(PROJECT))
        for path in committed("*.py")
        if path.relative_to(PROJECT).parts[0] in PACKAGES and knowing.search(path.read_text())
    }
    # The last one describes an argument in its help.
    assert found == {"lakehouse/storage.py", "lakehouse/settings.py", "churn/cli/main.py"}


def duplicates(texts: dict[str, str]) -> set[tuple[str, ...]]:
    """The names of texts that have six lines in a row in common."""
    places = defaultdict(list)
    for name, text in texts.items():
        lines = [each.strip() for each in NEEDED.sub("", text).splitlines()]
        told = [each for each in lines if SAYS_SOMETHING.match(each)]
        for start in range(len(told) - SHORTEST_DUPLICATE + 1):
            places[tuple(told[start : start + SHORTEST_DUPLICATE])].append(name)
    return {tuple(names) for names in places.values() if len(names) > 1}


def test_nothing_is_written_twice() -> None:
    texts = {
        name: path.read_text()
        for path in [*committed("*.py"), *committed("*.sql")]
        if not (name := str(path.relative_to(PROJECT))).startswith(ALIKE_BY_PURPOSE)
    }
    assert not duplicates(texts), "six lines in common; make one function, macro or model of them"


@pytest.mark.parametrize(
    ("start", "is_found"),
    [
        ("a = 1", True),
        ("import a", False),
        ("import a\na = 1", True),
        ("from a import (\n    b,\n    c,\n)", False),
        ("# why", False),
        ("{{ config(\n    materialized='table',\n) }}", False),
        ("a as (\n\n    select * from {{ ref('a') }}\n\n),", False),
    ],
)
def test_the_check_finds_what_is_written_twice(start: str, is_found: bool) -> None:
    body = "".join(f"x{line} = {line}\n" for line in range(SHORTEST_DUPLICATE - 1))
    texts = {name: f"{name}\n{start}\n{body}" for name in ("one", "other")}
    assert duplicates(texts) == ({("one", "other")} if is_found else set())


def misnamed(source: str) -> Iterator[str]:
    """Functions, formatters and errors that are not named as such, with the problem."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (problem := problem_of_name(node.name.strip("_"))) is not None:
                yield f"{node.name} {problem}"
        elif isinstance(node, ast.ClassDef) and not node.name.endswith("Error"):
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            if any(base.endswith(("Error", "Exception")) for base in bases):
                yield f"{node.name} is an error and does not end in Error"


def problem_of_name(name: str) -> str | None:
    """What is wrong with the name of a function, or None."""
    if PARTICIPLE.match(name) or NO_VERB.match(name):
        return "is not an imperative verb with its object"
    return "is a formatter and does not begin with format_" if TEXT.match(name) else None


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_verbs_and_say_what_they_name(package: str) -> None:
    found = {
        str(path.relative_to(PROJECT)): names
        for path in committed(f"{package}/*.py")
        if (names := list(misnamed(path.read_text())))
    }
    assert not found, "name a function by an imperative verb and its object"


@pytest.mark.parametrize(
    ("definition", "is_found"),
    [
        ("def shown(): ...", True),
        ("def _masked(): ...", True),
        ("def held_by_parent(): ...", True),
        ("def in_words(): ...", True),
        ("def hold_single(): ...", True),
        ("def history_lines(): ...", True),
        ("class Doubt(Exception): ...", True),
        ("class Refusal(errors.ChurnError): ...", True),
        ("def format_lines(): ...", False),
        ("def has_text(): ...", False),
        ("def started_at(): ...", False),
        ("def damaged_error(): ...", False),
        ("def as_json(): ...", False),
        ("class LockedError(ChurnError): ...", False),
    ],
)
def test_the_check_finds_a_misleading_name(definition: str, is_found: bool) -> None:
    assert bool(list(misnamed(definition))) == is_found


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def test_every_module_is_used(imports: grimp.ImportGraph) -> None:
    texts = {
        path: path.read_text()
        for pattern in ("*.py", "*.toml", "*.yml", "Makefile", "docker/*", ".ci/*")
        for path in committed(pattern)
        if "tests" not in path.relative_to(PROJECT).parts
    }
    unused = [
        name
        for name in sorted(imports.modules)
        if not imports.find_modules_that_directly_import(name)
        and not imports.find_children(name)
        and not _is_a_dag(_source(name))
        # what `python -m PACKAGE` calls
        and not name.endswith(".__main__")
        and not any(
            re.search(CALLED.format(name=re.escape(name)), text)
            for path, text in texts.items()
            if path != _source(name)
        )
    ]
    assert not unused, "nothing imports or calls these"


def _source(name: str) -> Path:
    return PROJECT / f"{name.replace('.', '/')}.py"


def _is_a_dag(source: Path) -> bool:
    return source.parent.name == "dags" and "DAG(" in source.read_text()


def test_a_model_has_its_description_beside_it() -> None:
    for path in committed("models/*.sql"):
        assert path.with_suffix(".yml").exists(), path
