"""Names that dbt provides to templates and sqlfluff's own substitutes lack.

With them, linting needs no server.

`.sqlfluff` names this folder; every public name here is a name in the templates.
"""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

_PROJECT = Path(__file__).resolve().parents[2] / "dbt_project.yml"
_VARIABLES = yaml.safe_load(_PROJECT.read_text(encoding="utf-8"))["vars"]

execute = False
invocation_id = "invocation"
modules = SimpleNamespace(re=re)
target = SimpleNamespace(database=None, schema="default", port=10000)


class _Adapter:
    def quote(self, name: str) -> str:
        return f"`{name}`"


adapter = _Adapter()


def var(name: str, default: Any = None) -> Any:
    return _VARIABLES.get(name, default)


def env_var(name: str, default: str = "") -> str:
    return default


def local_md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def tojson(value: Any, sort_keys: bool = False) -> str:
    return json.dumps(value, sort_keys=sort_keys)
