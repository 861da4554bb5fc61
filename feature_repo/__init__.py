"""Define, apply, materialize and verify the Feast features, and build training sets."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feast import FeatureStore

    from lakehouse.settings import Settings


def store(settings: "Settings | None" = None) -> "FeatureStore":
    """Return Feast's FeatureStore for the settings, by default those of this checkout.

    Raises:
        lakehouse.errors.UnavailableError: The online store does not respond.
    """
    # Feast takes seconds to import, and most modules of this package do not need it.
    from feature_repo.feature_store import open_store

    return open_store(settings)
