"""What is printed while the set-up downloads: sizes and progress."""

import threading
import tomllib
from pathlib import Path

from lakehouse.jars import LIST, log_progress
from lakehouse.uv_progress import summarize

UV = """\
Using CPython 3.11.7
Resolved 11 packages in 542ms
Downloading pyspark (433.2MiB)
Downloading pygments (1.2MiB)
Downloading a-large-one (1.5GiB)
 Downloaded pygments
 Downloaded pyspark
   Building telco-churn @ file:///checkout
      Built telco-churn @ file:///checkout
Prepared 11 packages in 8.15s
warning: something that matters
Installed 11 packages in 663ms
 + click==8.5.1
 - numpy==2.4.6
Bytecode compiled 100 files in 1s
"""


def test_downloads_are_shown_with_their_size_and_the_sum() -> None:
    assert list(summarize(UV.splitlines(keepends=True))) == [
        "  downloading pyspark (433 MiB)",
        "  downloading pygments (1 MiB)",
        "  downloading a-large-one (1536 MiB)",
        "  downloaded pygments; 1 MiB so far",
        "  downloaded pyspark; 434 MiB so far",
        "warning: something that matters",
        "  installed 11 packages in 663ms",
    ]


def test_each_jar_has_its_size() -> None:
    jars = tomllib.loads(LIST.read_text())["jar"]
    assert all(jar["size"] > 40_000 for jar in jars)


def test_the_progress_of_a_download_is_logged_until_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "part").write_bytes(b"x" * 1000)
    ended = threading.Event()
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        ended.set()

    log_progress(tmp_path, 4000, ended, log, every=0)
    assert lines == ["downloaded 1.0 kB of 4.0 kB"]
