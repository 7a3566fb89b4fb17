"""HTTP requests to targets, and the meaning of their answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from pivotwatch.delivery.errors import Rejected, RetryLater, TargetGone
from pivotwatch.formats.message import Message

SHOWN_BYTES = 500
MAX_RETRY_AFTER = 3600.0
GONE = 410
# The statuses that reject a message. Any other failure may come from the target or from a wrong setting.
REJECTIONS = (400, 413, 422)


class HttpClient:
    """The HTTP connections of one target, so that a target that hangs delays no other.

    Parameters
    ----------
    timeout
        Longest duration of one request.
    """

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, message: Message) -> str:
        """Post a message; returns the status and the first bytes of the answer.

        Raises
        ------
        DeliveryError
            When the status is not 2xx. The message never contains the URL, because it may be a secret.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=True)
        try:
            async with self._session.post(
                url, data=message.body, headers=message.headers, allow_redirects=False
            ) as response:
                shown = (await response.content.read(SHOWN_BYTES)).decode(errors="replace")
                raise_for_status(response.status, response.headers)
                return f"{response.status} {shown}".strip()
        except TimeoutError:
            raise RetryLater("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise RetryLater(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def raise_for_status(status: int, headers: Mapping[str, str]) -> None:
    """Raise an error unless status and headers say that the target accepted the message.

    Raises
    ------
    DeliveryError
        When the status is not 2xx.

    Examples
    --------
    >>> raise_for_status(202, {})
    >>> raise_for_status(429, {"Retry-After": "7"})
    Traceback (most recent call last):
    pivotwatch.delivery.errors.RetryLater: status 429
    """
    if 200 <= status < 300:
        return
    if status == GONE:
        raise TargetGone(f"status {status}")
    if status in REJECTIONS:
        raise Rejected(f"status {status}")
    raise RetryLater(f"status {status}", retry_after(headers.get("Retry-After")))


def retry_after(value: str | None) -> float | None:
    """Seconds in a ``Retry-After`` header (a number or a date), at most an hour.

    Examples
    --------
    >>> retry_after("7"), retry_after("soon"), retry_after("Wed, 21 Oct 2099 07:28:00 GMT")
    (7.0, None, 3600.0)
    """
    if value is None:
        return None
    try:
        seconds = (
            float(value)
            if value.strip().isdigit()
            else parsedate_to_datetime(value).timestamp() - time.time()
        )
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
