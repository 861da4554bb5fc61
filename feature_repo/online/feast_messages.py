"""Feast's protocol buffer message `Value`, without Feast, whose own import takes seconds.

Its generated module needs nothing of Feast. It is loaded by its file, because importing it by name
imports the package `feast` first. Both ways result in the same class.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

GENERATED = Path("protos", "feast", "types", "Value_pb2.py")


def _load_value() -> Any:
    package = find_spec("feast")  # does not import it
    assert package is not None and package.submodule_search_locations
    file = Path(next(iter(package.submodule_search_locations))) / GENERATED
    spec = spec_from_file_location("feature_repo.online.feast_value_pb2", file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Value


Value = _load_value()
