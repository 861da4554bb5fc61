"""Define, apply, materialize and verify the Feast features, and build training sets."""

import importlib
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feast import FeatureStore

    from lakehouse.settings import Settings


class TypeCheckSkipper(MetaPathFinder):
    """Import Feast without the run-time type checks that typeguard compiles into its classes.

    The checks take two thirds of the import, about three seconds of each command that needs Feast.
    """

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Replace typeguard's decorator when Feast is about to be imported; find no module."""
        if fullname == "feast":
            sys.meta_path.remove(self)
            vars(importlib.import_module("typeguard"))["typechecked"] = lambda target: target


sys.meta_path.insert(0, TypeCheckSkipper())


def store(settings: "Settings | None" = None) -> "FeatureStore":
    """Return Feast's FeatureStore for the settings, by default those of this checkout.

    Raises:
        lakehouse.errors.UnavailableError: The online store does not respond.
    """
    # Feast takes seconds to import, and most modules of this package do not need it.
    from feature_repo.feature_store import open_store

    return open_store(settings)
