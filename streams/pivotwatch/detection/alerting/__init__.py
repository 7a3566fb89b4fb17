"""Builds and explains alerts."""
