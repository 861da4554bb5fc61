"""Materialize and verify the online store, through the Redis protocol and layout."""
