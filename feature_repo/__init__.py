"""Feast: entity, source, view and service; apply, materialize, verify, training sets."""

from feature_repo.store import store

__all__ = ["store"]
