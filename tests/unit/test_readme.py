"""The README as a landing page: its pictures, and figures and output of a recorded demo."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documented_commands import README, TUTORIAL
from PIL import Image

from benchmarks import demo
from docsite import badges, pictures

SMALL = 150_000
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
# A text of fewer characters names a picture and does not replace it.
SHORTEST = 60


@pytest.fixture
def recorded() -> dict[str, Any]:
    assert demo.RESULT.exists(), "run `make measure-demo`"
    found: dict[str, Any] = json.loads(demo.RESULT.read_text())
    return found


def test_the_pictures_exist_have_a_text_and_are_small() -> None:
    texts = {README.parent / path: text for text, path in PICTURE.findall(README.read_text())}
    photographs = {badges.FOLDER / name for name in ("report.png", "lineage.png")}
    assert set(texts) == photographs | {badges.FOLDER / name for name in badges.render()}
    assert [path.name for path in texts if not path.exists()] == [], "run `make pictures`"
    assert [path.name for path in texts if path.stat().st_size > SMALL] == []
    assert [path.name for path, text in texts.items() if not text.strip()] == []
    for path in photographs:
        assert len(texts[path]) >= SHORTEST and "SAMPLE" in texts[path]
        assert Image.open(path).width in (pictures.WIDTH, 2 * pictures.WIDTH)


def test_the_figures_are_those_that_were_measured(recorded: dict[str, Any]) -> None:
    figures = README.read_text().partition(f"{demo.START}\n")[2].partition("\n<!--")[0]
    assert figures == "\n".join(demo.format_figures(recorded)), "run `make measure-demo`"


def test_the_customer_of_the_tutorial_is_in_the_demo(recorded: dict[str, Any]) -> None:
    named = set(demo.CUSTOMER_ID.findall(TUTORIAL.read_text()))
    assert named == {demo.find_customer(recorded)}, "run `make measure-demo`"


def test_the_figures_are_formatted_and_replaced() -> None:
    result = {
        "machine": {"memory_gib": 23.5, "cores": 2, "processor": "AMD EPYC"},
        "seconds": 101.4,
        "memory_gb": 4.72,
        "disk_gb": {".venv": 3.21, ".tools": 0.05, "home": 0.31},
        "output": ["  starting", "✓ 1/12 read   0.1 s", "", "try: churn --demo show 1234-ABCDE"],
    }
    lines = "\n".join(demo.format_figures(result))
    assert "\n```\n✓ 1/12 read   0.1 s\ntry: churn --demo show 1234-ABCDE\n```\n" in lines
    assert (
        "| Memory | 4.7 GB" in lines and "| Disk | 3.6 GB in all: the environment 3.21 GB," in lines
    )
    assert "| Time | 101 s for the demo" in lines and "2 cores (AMD EPYC)" in lines
    assert demo.find_customer(result) == "1234-ABCDE"
    long = "\n".join(demo.format_figures({**result, "output": ["✓ model " + "word " * 30]}))
    assert max(map(len, long.partition("```\n")[2].partition("```")[0].splitlines())) <= demo.WIDEST
    page = f"before\n{demo.START}\nold\n{demo.report.END}\nafter\n"
    replaced = demo.report.replace_figures(page, demo.START, ["new"])
    assert replaced == page.replace("old", "new")


def test_the_memory_of_a_home_is_that_of_its_processes(tmp_path: Path) -> None:
    """A process with the home in its environment is counted, and no other."""
    assert demo._memory_bytes(tmp_path / "home") == 0
    command = [sys.executable, "-c", "input()"]
    environ = {**os.environ, "CHURN_HOME": f"{tmp_path / 'home'}-demo"}
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE) as process:
        assert demo._is_running(process)
        assert demo._memory_bytes(tmp_path / "home") > 1_000_000
        process.communicate(b"\n")
    assert demo._memory_bytes(tmp_path / "home") == 0
