"""Columns, counts and distributions."""
