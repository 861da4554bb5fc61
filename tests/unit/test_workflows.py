"""The workflow files of GitHub and GitLab call what `.ci/run` calls."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.settings import PROJECT

STAGES = re.findall(r"^stage make (\S+)$", (PROJECT / ".ci" / "run").read_text(), re.M)
TARGETS = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.M)
PACKAGES = ".ci/packages"


def read(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text())


def check_job(commands: list[str], matrix: list[str], variable: str) -> None:
    """The job installs the system packages, then makes each target of `.ci/run`."""
    assert matrix == STAGES and set(STAGES) <= set(TARGETS)
    assert [each for each in commands if "git config" not in each] == [
        PACKAGES,
        f"make {variable}",
    ]


def test_github_makes_what_ci_makes() -> None:
    jobs = read(".github/workflows/ci.yml")["jobs"]
    commands = [step["run"] for step in jobs["make"]["steps"] if "run" in step]
    check_job(commands, jobs["make"]["strategy"]["matrix"]["target"], "${{ matrix.target }}")
    assert "make sbom" in [step.get("run") for step in jobs["sbom"]["steps"]]


def test_gitlab_makes_what_ci_makes() -> None:
    jobs = read(".gitlab-ci.yml")
    check_job(jobs["make"]["script"], jobs["make"]["parallel"]["matrix"][0]["TARGET"], "$TARGET")
    assert jobs["sbom"]["script"] == ["make sbom"]


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", ".gitlab-ci.yml"])
def test_a_workflow_makes_existing_targets(name: str) -> None:
    made = re.findall(r"\bmake ([a-z-]+)", (PROJECT / name).read_text())
    assert made and set(made) <= set(TARGETS)


def test_ci_installs_the_same_packages() -> None:
    assert f"\n{PACKAGES}\n" in (PROJECT / ".ci" / "run").read_text()


def test_both_use_the_oldest_python_that_is_supported() -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)', (PROJECT / "pyproject.toml").read_text())
    assert oldest is not None
    image = f"python:{oldest[1]}-bookworm"
    jobs = read(".github/workflows/ci.yml")["jobs"]
    assert (
        {job["container"] for job in jobs.values()} == {image} == {read(".gitlab-ci.yml")["image"]}
    )


def test_every_place_has_its_owner() -> None:
    lines = (PROJECT / "CODEOWNERS").read_text().splitlines()
    entries = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    # It says that it is a template as long as it is one.
    has_placeholders = any("@your-organisation/" in line for line in lines if line[0:1] != "#")
    assert has_placeholders == lines[0].startswith("# A template")
    assert entries[0][0] == "*"
    for path, *owners in entries:
        assert owners and all(owner.startswith("@") for owner in owners)
        assert path == "*" or (PROJECT / path.strip("/")).exists(), path


def test_both_ask_the_same_of_a_change() -> None:
    places = (".github/pull_request_template.md", ".gitlab/merge_request_templates/Default.md")
    first, second = (Path(PROJECT / place).read_text() for place in places)
    assert first == second
