"""Pages for a browser: templates and plots, what fills them, and the servers that show them."""
