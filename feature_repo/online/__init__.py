"""The online store: materialize, verify, and the Redis protocol and layout beneath."""
