"""Draw the badges of the README from pyproject.toml: `make pictures`.

They are files of the repository, so that they are true of this version and need no other site.
"""

import re
import tomllib
from pathlib import Path

from lakehouse.settings import PROJECT

FOLDER = PROJECT / "docs" / "pictures"
# Pixels of a character, on average, and beside a text.
CHARACTER, MARGIN, HEIGHT = 6.6, 6, 20
BADGE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img">
<title>{name}: {value}</title>
<rect width="{width}" height="{height}" rx="3" fill="#1f3a5f"/>
<path d="M0 3a3 3 0 0 1 3-3h{inner}v20H3a3 3 0 0 1-3-3z" fill="#444c56"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left}" y="14">{name}</text>
<text x="{right}" y="14">{value}</text>
</g>
</svg>
"""


def render() -> dict[str, str]:
    """Return the badges by their file names."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    dependencies = "\n".join(project["dependencies"])
    pins = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?(.*)", dependencies, re.MULTILINE))
    lowest, highest = re.findall(r"3\.(\d+)", project["requires-python"])
    values = {
        "licence": project["license"],
        "python": f"3.{lowest} – 3.{int(highest) - 1}",
        "spark": pins["pyspark"].strip("=.*"),
        "dbt": pins["dbt-core"].strip("=.*"),
        "feast": pins["feast"].strip("="),
        "airflow": pins["apache-airflow"].strip("=.*"),
    }
    return {f"badge-{name}.svg": _draw(name, value) for name, value in values.items()}


def _draw(name: str, value: str) -> str:
    widths = [round(len(text) * CHARACTER) + 2 * MARGIN for text in (name, value)]
    return BADGE.format(
        name=name,
        value=value,
        width=sum(widths),
        height=HEIGHT,
        inner=widths[0] - 3,
        left=widths[0] / 2,
        right=widths[0] + widths[1] / 2,
    )


def write(folder: Path = FOLDER) -> None:
    """Write the badges to a folder."""
    for name, text in render().items():
        (folder / name).write_text(text)
