"""Draft a domain from a workbook: profile its columns, decide their roles, write the files."""
