"""Tables as lines: DataFrames, Arrow tables and Parquet files, one JSON object a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any, Protocol

import orjson

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.detection.event_lines import event_lines

ROWS = 5_000
NO_ARROW = "needs the package pyarrow: pip install 'pivotwatch[parquet]'"


class Table(Protocol):
    """A DataFrame of pandas or polars, or a table of Arrow."""

    @property
    def columns(self) -> Any: ...


def is_table(source: object) -> bool:
    """Whether `table_lines` reads the source."""
    return hasattr(source, "iloc") or hasattr(source, "__arrow_c_stream__")


def table_lines(table: Any) -> Iterator[bytes]:
    """The rows of a DataFrame or of an Arrow table, one JSON object each. A missing value becomes null.

    Parameters
    ----------
    table
        A DataFrame of pandas, or an object with the stream interface of Arrow: a DataFrame of polars, a
        table of pyarrow, a relation of DuckDB.

    Raises
    ------
    WrongUse
        When pyarrow is missing and the table is no DataFrame of pandas.
    """
    if hasattr(table, "iloc"):
        yield from event_lines(_pandas_rows(table))
        return
    try:
        import pyarrow
    except ImportError:
        raise WrongUse(f"{type(table).__name__}: {NO_ARROW}") from None
    yield from _arrow_lines(pyarrow.RecordBatchReader.from_stream(table))


def parquet_lines(path: str, file: IO[bytes] | None = None) -> Iterator[bytes]:
    """The rows of a Parquet file, one JSON object each.

    Parameters
    ----------
    path
        The file.
    file
        The open file, when it is not on this machine.

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
        raise WrongUse(f"{path}: Parquet {NO_ARROW}") from None
    try:
        with ParquetFile(path if file is None else file) as table:
            yield from _arrow_lines(table.iter_batches(ROWS))
    except OSError as error:
        raise OutOfReach(f"{path}: {error.strerror or error}") from None
    except pyarrow.ArrowInvalid as error:
        raise WrongUse(f"{path}: not a Parquet file: {error}") from None


def _arrow_lines(batches: Iterable[Any]) -> Iterator[bytes]:
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS):
            for row in _in_microseconds(batch.slice(start, ROWS)).to_pylist(maps_as_pydicts="lossy"):
                yield orjson.dumps(row, default=_plain)


def _in_microseconds(batch: Any) -> Any:
    """The batch with its times in microseconds, because Python has no type for nanoseconds."""
    from pyarrow import timestamp, types

    for index, field in enumerate(batch.schema):
        if types.is_timestamp(field.type) and field.type.unit == "ns":
            column = batch.column(index).cast(timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(index, field.name, column)
    return batch


def _plain(value: Any) -> str | None:
    """Decimals and times as text; bytes, which no mapping can use, as null."""
    return None if isinstance(value, bytes) else str(value)


def _pandas_rows(frame: Any) -> Iterator[dict[str, Any]]:
    for start in range(0, len(frame), ROWS):
        rows = frame.iloc[start : start + ROWS]
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
            yield {name: _whole(value) for name, value in row.items()}


def _whole(value: Any) -> Any:
    """Restore an integer: pandas stores a column of integers as floats when a value is missing."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
