"""Event files: plain, gzip, zstd, and standard input."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.tools import event_files
from pivotwatch.tools.event_files import Lines, read_json_array

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "bzip2, appended": lambda data: bz2.compress(data[:7]) + bz2.compress(data[7:]),
    "gzip, appended": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]),
    "zstd, appended": lambda data: zstandard.compress(data[:7]) + zstandard.compress(data[7:]),
}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("chunk", [4, 5, 1 << 20])
def test_every_format_gives_the_same_lines(
    pack: Callable[[bytes], bytes], chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "CHUNK", chunk)
    path = tmp_path / "events"
    path.write_bytes(pack(b'{"id":"1"}\n\n \r\n{"id":"2"}\r\n{"id":"3"}'))
    lines = Lines([str(path), str(path)])
    assert [line.strip() for line in lines] == [b'{"id":"1"}', b'{"id":"2"}', b'{"id":"3"}'] * 2
    assert lines.count == 6
    assert lines.read == lines.size == 2 * path.stat().st_size


@given(st.binary(max_size=60), st.sampled_from(sorted(PACKERS)), st.integers(4, 9))
def test_any_content_is_read_unchanged(content: bytes, form: str, chunk: int) -> None:
    other = (event_files.GZIP, event_files.ZSTANDARD, event_files.BZIP2)
    if form == "plain" and content.startswith(other):
        return
    if content.startswith((b"\xef\xbb\xbf", b"\0", *event_files.UTF_16, *event_files.BINARY)):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_files, "CHUNK", chunk)
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PACKERS[form](content))))
        assert list(Lines(["-"])) == [line for line in content.split(b"\n") if line.strip()]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_truncated_or_damaged_file_is_reported(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    whole = pack(b"".join(b'{"id":"%d"}\n' % number for number in range(2000)))
    path = tmp_path / "events"
    path.write_bytes(whole[:-20])
    with pytest.raises(OutOfReach, match="ends in the middle"):
        list(Lines([str(path)]))
    path.write_bytes(whole[:30] + b"\0\0\0\0\0\0\0\0" + whole[38:])
    with pytest.raises(OutOfReach, match="damaged"):
        list(Lines([str(path)]))


def test_a_missing_file_is_reported_before_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"{}\n")
    with pytest.raises(OutOfReach, match="gone: No such file or directory"):
        Lines([str(tmp_path / "a"), str(tmp_path / "gone")])
    with pytest.raises(OutOfReach, match="Is a directory"):
        Lines([str(tmp_path)])


def test_standard_input_is_allowed_once() -> None:
    with pytest.raises(WrongUse, match="only once"):
        Lines(["-", "-"])


@pytest.mark.parametrize("text", [b'[{"a":1},\n {"a":2}]', b'{"a":1}\n{"a":2}\n'])
def test_an_array_or_lines_of_objects(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    path.write_bytes(text)
    assert read_json_array(str(path)) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("text", [b"[1]", b"{", b"[", b"3"])
def test_anything_else_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    path.write_bytes(text)
    with pytest.raises(WrongUse, match=r"releases\.json: "):
        read_json_array(str(path))


def test_a_csv_file_with_a_header_gives_objects(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress('id,account,note\n1,"a,b","two\nlines é"\n2,c,\n'.encode()))
    lines = Lines([str(path)])
    assert [orjson.loads(line) for line in lines] == [
        {"id": "1", "account": "a,b", "note": "two\nlines é"},
        {"id": "2", "account": "c", "note": ""},
    ]
    assert lines.place(1) == f"{path} row 2"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_are_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes('{"id":"é"}\n{"id":"2"}\n'.encode(encoding))
    assert list(Lines([str(path)])) == ['{"id":"é"}'.encode(), b'{"id":"2"}']


def test_a_frame_of_a_schema_registry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\0\0\0\0\x07{}")
    with pytest.raises(WrongUse, match="schema registry"):
        list(Lines([str(path)]))


def test_a_long_window_of_zstd_is_read(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    path = tmp_path / "log"
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path.write_bytes(compressor.compress(b'{"id":"1"}\n') + compressor.flush())
    assert list(Lines([str(path)])) == [b'{"id":"1"}']
