"""What every renderer takes and gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import orjson

JsonAlert = Mapping[str, Any]
"""An alert as it was read from JSON: a CloudEvent that `pivotwatch.contracts.alerts.parse_alert` takes."""

JSON_TYPE = "application/json"
CLOSED = ("resolved", "suppressed")


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A body with its headers: of an HTTP request, or of a Kafka record.

    Attributes
    ----------
    key
        What belongs together, and is delivered in order: the alert's id.
    """

    key: str
    body: bytes
    headers: Mapping[str, str]


def json_message(key: str, document: Any, content_type: str = JSON_TYPE) -> Message:
    """A message of one JSON document."""
    return Message(key, orjson.dumps(document), {"content-type": content_type})


def is_closed(alert: JsonAlert) -> bool:
    """Is the incident over with this alert?"""
    return alert["data"]["state"] in CLOSED
