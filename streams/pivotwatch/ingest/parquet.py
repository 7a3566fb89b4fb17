"""The rows of Parquet files as JSON lines. This needs the package pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from pivotwatch.base.errors import OutOfReach, WrongUse

ROWS = 5_000


def rows(path: str) -> Iterator[bytes]:
    """The rows of a file, one JSON object each.

    Raises
    ------
    WrongUse
        When pyarrow is missing, or the file is not Parquet.
    OutOfReach
        When the file cannot be read.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise WrongUse(
            f"{path}: Parquet needs the package pyarrow: pip install 'pivotwatch[parquet]'"
        ) from None
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS):
                for row in batch.to_pylist():
                    yield orjson.dumps(row, default=_plain)
    except OSError as error:
        raise OutOfReach(f"{path}: {error.strerror or error}") from None
    except pyarrow.ArrowInvalid as error:
        raise WrongUse(f"{path}: not a Parquet file: {error}") from None


def _plain(value: Any) -> str | None:
    """Decimals and times as text; bytes, which no mapping can use, as null."""
    return None if isinstance(value, bytes) else str(value)
