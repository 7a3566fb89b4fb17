"""What every renderer takes and gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pivotwatch.contracts.codec import encode

JSON_TYPE = "application/json"


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


def json_message(key: str, document: object, content_type: str = JSON_TYPE) -> Message:
    """A message of one JSON document."""
    return Message(key, encode(document), {"content-type": content_type})
