"""Secrets from the environment or from files; the configuration never holds a secret itself."""

from __future__ import annotations

import os
from pathlib import Path

from pivotwatch.base.errors import WrongUse

SHORTEST_SECRET = 16


def read_secret(what: str, variable: str | None, file: Path | None) -> bytes:
    """Read a secret from an environment variable or a file.

    Parameters
    ----------
    what
        What the secret is for; begins every error message.
    variable, file
        Where the secret is; exactly one of the two.

    Raises
    ------
    WrongUse
        When the secret is missing or too short. The message never contains the secret.
    """
    if variable is not None:
        found = os.environ.get(variable, "").strip().encode()
        where = f"environment variable {variable}"
    else:
        assert file is not None
        where = str(file)
        try:
            found = file.read_bytes().strip()
        except OSError as error:
            raise WrongUse(f"{what}: {where}: {error.strerror}") from None
    if len(found) < SHORTEST_SECRET:
        raise WrongUse(f"{what}: {where} must hold a secret of at least {SHORTEST_SECRET} characters")
    return found
