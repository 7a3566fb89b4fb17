"""Columns that grow: one numpy array per field, one row per account.

A million accounts as a million Python objects take a kilobyte each, and closing a bucket would touch each of
them in Python. As columns they take their width, and closing a bucket is a handful of array operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pivotwatch_models.base.arrays import Ints


class Columns:
    """A fixed set of named columns with room for any number of rows.

    Parameters
    ----------
    fields
        Name to (dtype, value of a row that was never written).

    Examples
    --------
    >>> columns = Columns({"seen": ("i4", -1)})
    >>> columns.reserve(3)
    >>> columns["seen"][1] = 7
    >>> columns["seen"][:3].tolist()
    [-1, 7, -1]
    >>> columns.clear(np.array([1]))
    >>> columns["seen"][:3].tolist()
    [-1, -1, -1]
    """

    def __init__(self, fields: Mapping[str, tuple[str, float]]) -> None:
        self.fields = dict(fields)
        self.capacity = 0
        self._arrays: dict[str, NDArray[Any]] = {
            name: np.empty(0, dtype=dtype) for name, (dtype, _) in self.fields.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def reserve(self, rows: int) -> None:
        """Make room for ``rows`` rows. Capacity grows by an eighth at a time, which wastes little."""
        if rows <= self.capacity:
            return
        capacity = max(rows, 256, self.capacity + self.capacity // 8)
        for name, (dtype, fill) in self.fields.items():
            grown = np.full(capacity, fill, dtype=dtype)
            grown[: self.capacity] = self._arrays[name]
            self._arrays[name] = grown
        self.capacity = capacity

    def clear(self, rows: Ints) -> None:
        """Set rows back to the values of rows that were never written."""
        for name, (_, fill) in self.fields.items():
            self._arrays[name][rows] = fill

    def snapshot(self, rows: Ints, **instead: NDArray[Any]) -> bytes:
        """The given rows, in the given order, as bytes. Columns in ``instead`` get those values."""
        return pack({name: instead.get(name, array[rows]) for name, array in self._arrays.items()})

    def restore(self, rows: Ints, state: bytes) -> None:
        """Write what `snapshot` returned into the given rows: as many, in the same order."""
        if len(rows):
            self.reserve(int(rows.max()) + 1)
        for name, values in unpack(state)[0].items():
            self._arrays[name][rows] = values


def pack(arrays: Mapping[str, NDArray[Any]], **fields: Any) -> bytes:
    """Pack arrays and JSON-able fields into bytes: a JSON header, then the raw arrays.

    Examples
    --------
    >>> arrays, fields = unpack(pack({"x": np.arange(3)}, version=1))
    >>> arrays["x"].tolist(), fields
    ([0, 1, 2], {'version': 1})
    """
    shapes = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = orjson.dumps([shapes, fields])
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return len(header).to_bytes(4, "little") + header + body


def unpack(state: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The inverse of `pack`; the arrays are read-only views."""
    start = 4 + int.from_bytes(state[:4], "little")
    shapes, fields = orjson.loads(state[4:start])
    arrays = {}
    for name, dtype, shape in shapes:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(state, dtype=dtype, count=count, offset=start).reshape(shape)
        start += count * np.dtype(dtype).itemsize
    return arrays, fields
