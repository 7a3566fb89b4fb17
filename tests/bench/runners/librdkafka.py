"""Settings of the engines that use librdkafka."""

QUICK = {"fetch.queue.backoff.ms": 5}
"""With the default of 1 s, a fast reader waits: a consumer alone is only half as fast."""
