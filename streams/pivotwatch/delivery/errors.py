"""The ways in which a delivery can fail."""

from __future__ import annotations


class DeliveryError(Exception):
    """A delivery failed. The message says why, and contains neither addresses nor secrets.

    Attributes
    ----------
    reason
        The class of the dead letter that the delivery becomes.
    """

    reason: str


class RetryLater(DeliveryError):
    """The target may accept the message later.

    Attributes
    ----------
    retry_after
        Pause in seconds that the target requested, if it did.
    """

    reason = "budget"

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Rejected(DeliveryError):
    """The target will never accept this message."""

    reason = "refused"


class TargetGone(DeliveryError):
    """The target accepts no messages any more (status 410)."""

    reason = "gone"


class UnexpectedFailure(DeliveryError):
    """The message could not be made or sent because of an error in this program or in its settings."""

    reason = "broken"


class QueueFull(DeliveryError):
    """Too many deliveries already wait for the target."""

    reason = "overflow"
