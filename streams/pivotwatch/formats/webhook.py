"""A signed webhook, by the Standard Webhooks specification.

The body is the CloudEvent, unchanged. ``webhook-id`` is the alert's id and stays the same over all retries,
so a receiver that drops known ids sees each alert once.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from pivotwatch.contracts.alerts import Alert
from pivotwatch.formats import cloudevents
from pivotwatch.formats.message import Message


def is_secret(text: str) -> bool:
    """Whether a text has the form of a signing secret.

    Examples
    --------
    >>> is_secret("whsec_c2VjcmV0LW9mLXRlc3Rz"), is_secret("whsec_my secret")
    (True, False)
    """
    try:
        return bool(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        return False


def render(alert: Alert, raw: bytes, secrets: Sequence[str], sent_at: int) -> Message:
    """The message, signed for one attempt.

    Parameters
    ----------
    secrets
        Each of the form ``whsec_…``, and each gives a signature: two while one replaces the other.
    sent_at
        Epoch seconds of the attempt: receivers reject messages older than some minutes.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> render(example_alert(), b"{}", ["whsec_c2VjcmV0LW9mLXRlc3Rz"], 1_760_000_000).headers[
    ...     "webhook-signature"
    ... ]
    'v1,...'
    """
    message = cloudevents.render(alert, raw)
    moment = datetime.fromtimestamp(sent_at, UTC)
    signatures = [Webhook(secret).sign(alert.id, moment, message.body.decode()) for secret in secrets]
    headers = {
        **message.headers,
        "webhook-id": alert.id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": " ".join(signatures),
    }
    return dataclasses.replace(message, headers=headers)
