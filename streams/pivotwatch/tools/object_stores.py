"""Files of object stores, such as ``s3://bucket/key`` and ``gs://bucket/key``, by the package fsspec."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import IO, Any

from pivotwatch.base.errors import OutOfReach, WrongUse

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://.")
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The extra of pivotwatch that reads each kind of address."""


def is_address(path: str) -> bool:
    """Whether a path is the address of an object, such as ``s3://bucket/key``.

    Examples
    --------
    >>> [is_address(path) for path in ("s3://logs/day.jsonl.gz", "day.jsonl", "/tmp/a://b", "-")]
    [True, False, False, False]
    """
    return _ADDRESS.match(path) is not None


def expanded(paths: list[str]) -> list[str]:
    """The paths, with each address that has a wildcard (``s3://logs/2026-02-05/*.jsonl.gz``) as its objects.

    Raises
    ------
    OutOfReach
        When no object fits, or the store cannot be reached.
    """
    found = list[str]()
    for path in paths:
        if not is_address(path) or not any(sign in path for sign in "*?["):
            found.append(path)
            continue
        with _reaching(path):
            store, inner = _store(path)
            objects = [str(store.unstrip_protocol(one)) for one in sorted(store.glob(inner))]
        if not objects:
            raise OutOfReach(f"{path}: no object has such a name")
        found += objects
    return found


def size_of(address: str) -> int:
    """The size of an object in bytes.

    Raises
    ------
    OutOfReach
        When there is none, or the store cannot be reached.
    """
    with _reaching(address):
        store, inner = _store(address)
        return int(store.info(inner)["size"])


@contextlib.contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """Open an object to read it; it is fetched in blocks."""
    with _reaching(address):
        store, inner = _store(address)
        file: IO[bytes]
        with store.open(inner, "rb", block_size=8 << 20, cache_type="readahead") as file:
            yield file


def _store(address: str) -> tuple[Any, str]:
    kind = address.partition("://")[0]
    extra = EXTRAS.get(kind, "objects")
    try:
        from fsspec.core import url_to_fs

        store, inner = url_to_fs(address)
    except ImportError:
        more = "" if kind in EXTRAS else f" and the package of fsspec for {kind}://"
        raise WrongUse(f"{address}: needs pip install 'pivotwatch[{extra}]'{more}") from None
    except ValueError as error:
        raise WrongUse(f"{address}: {error}") from None
    return store, inner


@contextlib.contextmanager
def _reaching(address: str) -> Iterator[None]:
    """Report errors of a store with its address: each store raises errors of its own."""
    try:
        yield
    except (OutOfReach, WrongUse):
        raise
    except FileNotFoundError:
        raise OutOfReach(f"{address}: there is no such object") from None
    except PermissionError:
        raise OutOfReach(f"{address}: access is denied; check the credentials of the store") from None
    except Exception as error:
        raise OutOfReach(f"{address}: {type(error).__name__}: {error}") from None
