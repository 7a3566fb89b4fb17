"""Secrets come from the environment or from files, never from the configuration itself."""

from __future__ import annotations

import os
from pathlib import Path

from pivotwatch.base.errors import WrongUse

SHORTEST_SECRET = 16


def read_secret(what: str, variable: str | None, file: Path | None) -> bytes:
    """A secret from the environment or a file.

    Raises
    ------
    WrongUse
        When it is not there or too short; never with the secret in it.
    """
    if variable is not None:
        found = os.environ.get(variable, "").strip().encode()
        where = f"the variable {variable}"
    else:
        assert file is not None
        where = str(file)
        try:
            found = file.read_bytes().strip()
        except OSError as error:
            raise WrongUse(f"{what}: {where}: {error.strerror}") from None
    if len(found) < SHORTEST_SECRET:
        raise WrongUse(f"{what}: {where} holds no secret of at least {SHORTEST_SECRET} characters")
    return found
