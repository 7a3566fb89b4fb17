"""The account finding's parameters: river's Page-Hinkley, with a threshold for the width of the buckets."""

from __future__ import annotations

from models.account import PageHinkley
from models.settings import HOUR_MS, Settings

THRESHOLD_1H = 12.0
THRESHOLD_LEAST = 2.0


def page_hinkley(settings: Settings) -> PageHinkley:
    """Parameters for a width of bucket."""
    hours = settings.bucket_ms / HOUR_MS
    return PageHinkley(threshold=max(THRESHOLD_LEAST, THRESHOLD_1H / hours**0.5))
