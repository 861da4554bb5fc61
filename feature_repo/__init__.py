"""Define, apply, materialize and verify the Feast features, and build training sets."""

from feature_repo.store import store

__all__ = ["store"]
