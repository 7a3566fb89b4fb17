"""Counts events per bucket, one operator a partition."""
