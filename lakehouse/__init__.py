"""Lakehouse infrastructure: settings, storage, the Spark server, the online store and locks."""
