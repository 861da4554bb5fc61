"""`python -m docsite [FOLDER]`: build the site into FOLDER, by default `site/` of the checkout."""

import sys
from pathlib import Path

from docsite.build import DocsError, build
from lakehouse.settings import PROJECT


def main() -> None:
    """Build the site; exit with 1 and the problems if a page has any."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "site"
    try:
        pages = build(target)
    except DocsError as error:
        sys.exit(str(error))
    print(f"{pages} pages; open {target / 'index.html'} in a browser")


if __name__ == "__main__":
    main()
