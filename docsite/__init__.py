"""Build the documentation site from `docs/`, and its reference from the code: `make docs`."""
