"""Sessions of the page: which ones there are, and the records that begin and end them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from pivotwatch.base.errors import Fault, OutOfReach
from pivotwatch.contracts.codec import encode
from pivotwatch.contracts.controls import AT_HEADER, BY_HEADER
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.sessions import PERSON, SESSION, Session, parse_session, person_key, session_key

logger = logging.getLogger(__name__)

MOST_SESSIONS = 10_000
MOST_OF_PERSON = 20
ANSWER_SECONDS = 15.0
SEEN_SECONDS = 5.0


def now() -> datetime:
    """The time in whole seconds, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def id_of(binding: str) -> str:
    """Id of a session in its topic: whoever reads it there does not know what the cookie holds."""
    return hashlib.sha256(binding.encode(errors="surrogateescape")).hexdigest()[:32]


class Sessions:
    """The sessions that have begun and not ended, as the topic holds them. Every worker has the same.

    Of one person `MOST_OF_PERSON` sessions live, of all persons `MOST_SESSIONS`: the oldest one ends.

    Parameters
    ----------
    clock
        The time now.

    Attributes
    ----------
    loaded
        Set once everything is taken that the topic held at the start.

    Examples
    --------
    >>> sessions = Sessions()
    >>> sessions.take(0, b"person:kim", None)
    >>> sessions.of("kim"), sessions.unreadable
    ([], 0)
    """

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self._live: OrderedDict[str, Session] = OrderedDict()
        self._of_person: dict[str, OrderedDict[str, None]] = {}
        self._position = -1
        self._more = asyncio.Event()
        self.loaded = asyncio.Event()
        self.unreadable = 0

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of the topic."""
        try:
            self._apply(*parse_session(key, value))
        except BadEvent as error:
            self.unreadable += 1
            logger.warning("skipped an unreadable record of sessions: %s", error)
        self._position = offset
        self._more.set()
        self._more = asyncio.Event()

    def _apply(self, key: str, session: Session | None) -> None:
        if key.startswith(PERSON):
            for ident in self._of_person.pop(key.removeprefix(PERSON), ()):
                del self._live[ident]
            return
        ident = key.removeprefix(SESSION)
        self.drop(ident)
        if session is None:
            return
        self._live[ident] = session
        own = self._of_person.setdefault(session.name, OrderedDict())
        own[ident] = None
        if len(own) > MOST_OF_PERSON:
            self.drop(next(iter(own)))
        if len(self._live) > MOST_SESSIONS:
            self.drop(next(iter(self._live)))

    def drop(self, ident: str) -> None:
        """End a session here; its record ends it everywhere."""
        session = self._live.pop(ident, None)
        if session is not None:
            own = self._of_person[session.name]
            del own[ident]
            if not own:
                del self._of_person[session.name]

    def find(self, ident: str) -> Session | None:
        """A session that counts now."""
        session = self._live.get(ident)
        return session if session is not None and self._clock() < session.ends else None

    def of(self, name: str) -> list[tuple[str, Session]]:
        """Ids and sessions of a person that count now, the newest first."""
        return [
            (ident, session)
            for ident in reversed(self._of_person.get(name, OrderedDict()))
            if (session := self.find(ident)) is not None
        ]

    def every(self) -> list[tuple[str, Session]]:
        """Ids and sessions of everybody that count now, the newest first."""
        return [(ident, one) for ident, one in reversed(self._live.items()) if self._clock() < one.ends]

    async def reached(self, offset: int) -> bool:
        """Wait until a record is taken; whether that happened in time."""
        try:
            async with asyncio.timeout(SEEN_SECONDS):
                while self._position < offset:
                    await self._more.wait()
        except TimeoutError:
            return False
        return True


class SessionWriter:
    """Writes the records that begin and end sessions, and waits until the broker has them.

    Parameters
    ----------
    send
        Sends a record, waits until the broker has it, and returns its offset.
    topic
        The full name of ``sessions``.
    sessions
        Takes the records when they are read back.
    """

    def __init__(self, send: Callable[..., Awaitable[int]], topic: str, sessions: Sessions) -> None:
        self._send, self._topic, self._sessions = send, topic, sessions

    async def begin(self, ident: str, session: Session) -> int:
        """Begin a session; returns the offset of its record.

        Raises
        ------
        OutOfReach
            When the broker does not answer.
        """
        return await self._write(session_key(ident), encode(session), session.name)

    async def end(self, ident: str, by: str) -> None:
        """End a session: here at once, everywhere when the broker has the record.

        Raises
        ------
        OutOfReach
            When the broker does not answer.
        """
        self._sessions.drop(ident)
        await self._write(session_key(ident), None, by)

    async def end_all(self, name: str, by: str) -> None:
        """End all sessions of a person.

        Raises
        ------
        OutOfReach
            When the broker does not answer.
        """
        for ident, _ in self._sessions.of(name):
            self._sessions.drop(ident)
        await self._write(person_key(name), None, by)

    async def _write(self, key: bytes, value: bytes | None, by: str) -> int:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                offset = await self._send(self._topic, key, value, headers=signature(by))
        except Fault:
            raise
        except Exception as error:
            logger.error("a session record was not acknowledged: %s", type(error).__name__)
            raise OutOfReach("the broker did not answer; try again") from error
        await self._sessions.reached(offset)
        return offset


def signature(by: str) -> list[tuple[str, bytes]]:
    """Headers of a record that say who wrote it, and when."""
    return [(BY_HEADER, by.encode()), (AT_HEADER, encode(now()).strip(b'"'))]
