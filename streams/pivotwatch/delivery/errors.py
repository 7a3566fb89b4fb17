"""How an attempt to deliver may end, when not well."""

from __future__ import annotations


class Undelivered(Exception):
    """An attempt failed; the text says why, without addresses or secrets."""

    reason: str


class TryLater(Undelivered):
    """The target may take it another time.

    Attributes
    ----------
    after
        Seconds that the target asked us to wait, if it did.
    """

    reason = "budget"

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class Refused(Undelivered):
    """The target will never take this message."""

    reason = "refused"


class Gone(Undelivered):
    """The target wants nothing more at all."""

    reason = "gone"


class Broken(Undelivered):
    """It could not be made or sent: a fault of this program, or a setting that nobody foresaw."""

    reason = "broken"


class Overflow(Undelivered):
    """Too much waits for the target already."""

    reason = "overflow"
