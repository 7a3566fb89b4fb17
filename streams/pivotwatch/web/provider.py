"""What a log-in through an identity provider needs, whatever protocol the provider speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from pivotwatch.base.errors import Fault
from pivotwatch.web.settings import Role


class Refused(Fault):
    """The provider, or what it says, does not let a person in. The message is for that person.

    Attributes
    ----------
    name
        The name of the person, when it is known.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Attempt(NamedTuple):
    """What a log-in keeps in the browser until the provider sends it back."""

    state: str
    nonce: str
    verifier: str
    next: str


class Identity(NamedTuple):
    """A person whom the provider named."""

    name: str
    role: Role


class Provider(Protocol):
    """Sends people to an identity provider, and learns from it who came back."""

    async def address(self, attempt: Attempt) -> str:
        """Where a browser begins the log-in."""
        ...

    async def identify(self, query: Mapping[str, str], attempt: Attempt) -> Identity:
        """Who came back."""
        ...
