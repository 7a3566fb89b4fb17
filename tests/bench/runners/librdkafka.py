"""Settings for everything that fetches with librdkafka."""

QUICK = {"fetch.queue.backoff.ms": 5}
"""Its default, 1 s, leaves a quick reader waiting: a bare consumer is half as fast with it."""
