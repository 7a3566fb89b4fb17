"""One HTTP request, and what its answer means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from pivotwatch.delivery.errors import Gone, Refused, TryLater
from pivotwatch.formats.message import Message

SHOWN_BYTES = 500
LONGEST_WAIT = 3600.0
GONE = 410
# These condemn the message; any other failure may be the target's, or a setting that will be mended.
REFUSALS = (400, 413, 422)


class Http:
    """Connections of one target; a target that hangs holds up no other."""

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, message: Message) -> str:
        """Post a message; returns what came back.

        Raises
        ------
        Undelivered
            For anything but a 2xx. The text never has the address: it may be a secret.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=True)
        try:
            async with self._session.post(
                url, data=message.body, headers=message.headers, allow_redirects=False
            ) as response:
                shown = (await response.content.read(SHOWN_BYTES)).decode(errors="replace")
                judge(response.status, response.headers)
                return f"{response.status} {shown}".strip()
        except TimeoutError:
            raise TryLater("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TryLater(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def judge(status: int, headers: Mapping[str, str]) -> None:
    """Tell by status and headers whether a message was taken.

    Raises
    ------
    Undelivered
        When not.

    Examples
    --------
    >>> judge(202, {})
    >>> judge(429, {"Retry-After": "7"})
    Traceback (most recent call last):
    pivotwatch.delivery.errors.TryLater: status 429
    """
    if 200 <= status < 300:
        return
    if status == GONE:
        raise Gone(f"status {status}")
    if status in REFUSALS:
        raise Refused(f"status {status}")
    raise TryLater(f"status {status}", retry_after(headers.get("Retry-After")))


def retry_after(value: str | None) -> float | None:
    """Seconds that a target wants us to wait: a number or a date; at most an hour.

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
    return min(max(seconds, 0.0), LONGEST_WAIT)
