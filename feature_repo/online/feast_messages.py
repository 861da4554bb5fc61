"""Feast's protocol buffer messages, imported without Feast, whose own import takes seconds."""

import importlib.util
import sys
from types import ModuleType


def _import_messages() -> None:
    """Import the messages; their package `feast` is empty meanwhile, unless it is imported already.

    Afterwards the package is unknown again, so that a later `import feast` imports all of it.
    """
    if "feast" in sys.modules:
        return
    spec = importlib.util.find_spec("feast")
    assert spec is not None and spec.submodule_search_locations is not None
    empty = ModuleType("feast")
    empty.__path__ = list(spec.submodule_search_locations)
    sys.modules["feast"] = empty
    try:
        importlib.import_module("feast.protos.feast.types.Value_pb2")
    finally:
        del sys.modules["feast"]


_import_messages()
Value = sys.modules["feast.protos.feast.types.Value_pb2"].Value
