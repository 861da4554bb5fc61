"""Trace results to their sources: traces, history, differences between runs, rebuilt runs."""
