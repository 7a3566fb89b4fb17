"""Scores complete buckets."""
