"""Where results come from: traces, history, differences between runs, rebuilt runs."""
