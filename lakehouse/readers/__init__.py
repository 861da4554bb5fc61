"""Give readers access to published tables: users, a copy of the tables, and a server for it."""
