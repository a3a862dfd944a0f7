"""Measurements of this project: each prints a table and writes it as JSON."""
