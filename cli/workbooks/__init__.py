"""Workbooks for people: .xlsx files, whole or not at all."""
