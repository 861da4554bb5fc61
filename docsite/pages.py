"""Collect the pages of the site in a folder: those of `docs/`, those of the code, the notebooks.

The sources stay readable in the repository: links between them work there, and diagrams are
Mermaid, which code hosts draw. Here both become what a browser can show without a network.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import mermaidx

from docsite import reference
from lakehouse.settings import PROJECT

DOCS = PROJECT / "docs"
# Pages at the top of the checkout, and their names in the site.
TOP = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
VIEW_BOX = re.compile(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"')
# Labels are 16 pixels high; below 12 they are hard to read.
SMALLEST = 12 / 16
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
# Links whose text is the name of a file, or the number of a decision.
FILE_LINK = re.compile(r"\[[\w-]+\.md\]\(([^)#\s]+)")
DECISION_LINK = re.compile(r"\[0*(\d+)\](\((?:\.\./)*decisions/)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def write_pages(folder: Path) -> None:
    """Write all pages as Markdown, with their pictures, to the new folder `folder`."""
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("*.ipynb"))
    for path in DOCS.rglob("*.ipynb"):
        _write(folder / path.relative_to(DOCS).with_suffix(".md"), format_notebook(path))
    for name, page in TOP.items():
        if page != "index.md":
            _write(folder / page, (PROJECT / name).read_text())
    for name, text in reference.render().items():
        _write(folder / name, text)
    for path in sorted(folder.rglob("*.md")):
        text = _name_links(_move_links(path.read_text(), path.parent == folder), path)
        path.write_text(_draw_diagrams(text, path, folder))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _move_links(text: str, is_top: bool) -> str:
    """Return a page whose links to pages at the top of the checkout lead to their copies."""

    def move(match: re.Match[str]) -> str:
        address = match[2]
        place = address.removeprefix("../").removeprefix("../")
        if place in TOP:
            address = TOP[place] if is_top else f"../{TOP[place]}"
        elif address.startswith("docs/"):
            address = address.removeprefix("docs/")
        if address.endswith("decisions/"):
            address += "index.md"
        return f"{match[1]}{address.replace('.ipynb', '.md')}{match[3]}"

    return LINK.sub(move, text)


def _name_links(text: str, page: Path) -> str:
    """Return a page whose links name the page that they lead to, instead of its file."""

    def name(match: re.Match[str]) -> str:
        target = (page.parent / match[1]).read_text()
        return f"[{target.partition(chr(10))[0].lstrip('# ')}]({match[1]}"

    return DECISION_LINK.sub(r"[decision \1]\2", FILE_LINK.sub(name, text))


def _draw_diagrams(text: str, page: Path, folder: Path) -> str:
    """Return a page whose Mermaid diagrams are pictures, which are written to `diagrams/`."""

    def draw(match: re.Match[str]) -> str:
        name = f"{hashlib.sha256(match[1].encode()).hexdigest()[:12]}.svg"
        # A picture inherits nothing from the page, so that the theme's dark mode needs a ground.
        drawing = mermaidx.render(match[1]).svg()
        width, height = map(float, VIEW_BOX.findall(drawing)[0])
        # Without a size of its own, a picture is as wide as the page.
        drawing = drawing.replace('width="100%"', f'width="{width:.0f}" height="{height:.0f}"', 1)
        _write(folder / "diagrams" / name, drawing)
        above = "../" * len(page.parent.relative_to(folder).parts)
        headings = HEADING.findall(text[: match.start()])
        title = headings[-1] if headings else page.stem
        # It leads to itself: on a phone, a browser shows it there in full size.
        address = f"{above}diagrams/{name}"
        legible = f'{{ .diagram style="min-width: {width * SMALLEST:.0f}px" }}'
        return f"[![Diagram: {title}]({address}){legible}]({address})"

    return DIAGRAM.sub(draw, text)


def format_notebook(path: Path) -> str:
    """Return a notebook as Markdown, without outputs."""
    cells = json.loads(path.read_text())["cells"]
    return "\n\n".join(_format_cells(cells)) + "\n"


def _format_cells(cells: list[dict[str, str | list[str]]]) -> Iterator[str]:
    for cell in cells:
        source = "".join(cell["source"])
        yield source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
