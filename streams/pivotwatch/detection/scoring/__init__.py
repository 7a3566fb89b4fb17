"""Scores complete buckets over all partitions: watches releases, opens incidents, writes alerts."""
