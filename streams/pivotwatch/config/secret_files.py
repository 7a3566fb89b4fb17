"""The files with secrets that a configuration names, and who can read them."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pivotwatch.base.secret_shapes import is_secret_name
from pivotwatch.config.config import Config

KEY_FILES = frozenset({"ssl_keyfile", "tls_keyfile"})


def secret_files(config: Config) -> Iterator[tuple[str, Path]]:
    """Every file with a secret that the configuration names: its key, and its path.

    Examples
    --------
    >>> from pivotwatch.config.config import load
    >>> config = load(web={"people": [{"name": "kim", "token_file": "/run/kim"}]}, ssl_cafile="/etc/ca.pem")
    >>> list(secret_files(config))
    [('web.people.0.token_file', PosixPath('/run/kim'))]
    """
    yield from _named(config.model_dump(), "")


def is_readable_by_all(path: Path) -> bool:
    """Whether every user of this machine can read a file; False when there is none."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _named(content: Any, prefix: str) -> Iterator[tuple[str, Path]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            holds = key in KEY_FILES or (key.endswith("_file") and is_secret_name(key.removesuffix("_file")))
            if holds and value:
                yield prefix + key, Path(value)
            else:
                yield from _named(value, f"{prefix}{key}.")
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from _named(value, f"{prefix}{place}.")
