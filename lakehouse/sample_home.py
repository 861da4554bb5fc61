"""The home of `churn demo`, and the mark of a home that contains generated customers.

The mark is a file, so that pages that need no Spark server can show it. A backup includes it.
"""

from dataclasses import fields
from pathlib import Path

from lakehouse.command_name import SUFFIX, choose_name
from lakehouse.settings import FILE, NAMES, Settings, variable

# Added to each port, so that the demo runs beside the home of the settings.
PORTS_ABOVE = 200
MARKS, SAMPLE = "marks", "sample"
# For people, on pages and lists.
TITLE = "SAMPLE"
NOTE = "SAMPLE: these customers are generated, not real"


def demo_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of the demo's home.

    It is beside the home of the settings, with ports of its own, and uses none of the configured
    servers and stores.
    """
    ports = {each.name for each in fields(settings) if each.name.endswith("_port")}
    environ = {variable(name): "" for name in NAMES}
    environ |= {f"{name}{FILE}": "" for name in list(environ) if name.endswith("_PASSWORD")}
    environ |= {variable(name): str(_shift_port(getattr(settings, name))) for name in ports}
    return environ | {"CHURN_HOME": str(settings.home.with_name(f"{settings.home.name}{SUFFIX}"))}


def _shift_port(port: int) -> int:
    """Return the demo's port instead of this one; the highest wrap to the lowest unprivileged."""
    return (port + PORTS_ABOVE - 1024) % (65536 - 1024) + 1024


def command_of(settings: Settings) -> str:
    """Return how the command line is called for this home."""
    return choose_name(settings.home.name)


def mark_as_sample(settings: Settings) -> None:
    """Mark the home: it contains generated customers."""
    path = _mark(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def is_sample(settings: Settings) -> bool:
    """Return whether the home contains generated customers."""
    return _mark(settings).exists()


def _mark(settings: Settings) -> Path:
    return settings.home / MARKS / SAMPLE
