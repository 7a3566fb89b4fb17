"""The output of every renderer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pivotwatch.contracts.codec import encode

JSON_TYPE = "application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """Body and headers of an HTTP request or a Kafka record.

    Attributes
    ----------
    key
        The alert's id: messages with the same key are delivered in order.
    """

    key: str
    body: bytes
    headers: Mapping[str, str]


def json_message(key: str, document: object, content_type: str = JSON_TYPE) -> Message:
    """A message of one JSON document."""
    return Message(key, encode(document), {"content-type": content_type})
