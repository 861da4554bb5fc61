"""Operate an installation: backup, restore, clean-up, status, servers and sites."""
