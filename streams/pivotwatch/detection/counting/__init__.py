"""Counts events per bucket, with one operator per partition.

The way of an event: `event_reader` (the hot path) → `event_buffer` → `open_counts`. What is rare goes through
`open_buckets`, which asks `watermark` and `event_time`. The way of a bucket that closes: `operator` →
`bucket_activity` → `candidates` → one record on the topic ``buckets``. `state` saves and restores all of it.
"""
