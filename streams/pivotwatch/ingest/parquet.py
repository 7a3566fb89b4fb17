"""Parquet files as lines: one JSON object a row. pyarrow reads them, when it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from pivotwatch.base.errors import OutOfReach, WrongUse

ROWS = 5_000


def rows(path: str) -> Iterator[bytes]:
    """The rows of a file.

    Raises
    ------
    WrongUse
        When pyarrow is missing, or the file is not Parquet.
    OutOfReach
        When it cannot be read.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise WrongUse(f"{path}: Parquet needs a further package: install pivotwatch[parquet]") from None
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
    """Decimals as text; bytes are nothing that a mapping could name."""
    return None if isinstance(value, bytes) else str(value)
