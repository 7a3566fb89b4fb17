"""Files of object stores are read like those of this machine."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from infra.kafka.supervisor import free_port
from pivotwatch import replay
from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli import main
from pivotwatch.tools.event_files import Lines
from tests.audit import ROOT

fsspec = pytest.importorskip("fsspec")
START = 1_770_000_000_000
EVENT = '{"id":"r%d","ts":%d,"account":"a%d","model":"m-2"}\n'


def lines(first: int) -> bytes:
    return "".join(EVENT % (n, START + n * 20_000, n % 9) for n in range(first, 300, 2)).encode()


def write(kind: str, folder: str, **options: object) -> list[str]:
    store = fsspec.filesystem(kind, **options)
    if kind == "s3":
        store.mkdir(folder)
    store.pipe_file(f"{folder}/a.jsonl", lines(0))
    store.pipe_file(f"{folder}/b.jsonl.gz", gzip.compress(lines(1)))
    return [f"{kind}://{folder}/a.jsonl", f"{kind}://{folder}/b.jsonl.gz"]


def test_objects_are_read_merged_and_found_by_a_wildcard():
    paths = write("memory", "logs")
    read = Lines(paths)
    assert len(list(read)) == 300
    assert read.read == read.size
    result = replay("memory://logs/*").run()
    assert (result.events, result.late) == (300, 0)
    told = CliRunner().invoke(main, ["replay", *paths])
    assert "300 events" in told.stderr


def test_what_is_missing_is_named():
    with pytest.raises(OutOfReach, match="memory://logs/gone: there is no such object"):
        Lines(["memory://logs/gone"])
    with pytest.raises(OutOfReach, match="no object has such a name"):
        replay("memory://nowhere/*")
    with pytest.raises(WrongUse, match="nostore://a/b"):
        Lines(["nostore://a/b"])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(WrongUse, match=r"s3://a/b: needs pip install 'pivotwatch\[s3\]'"):
        Lines(["s3://a/b"])


PRODUCERS = ROOT / ".venv-producers"


@pytest.fixture
def s3(monkeypatch) -> Iterator[str]:
    """A local server of S3."""
    [packages] = PRODUCERS.glob("lib/python3*/site-packages")
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [PRODUCERS / "bin" / "python", "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.mark.skipif(not PRODUCERS.exists(), reason="make producers makes the environment of the server")
@pytest.mark.slow
def test_a_real_server_of_s3(s3):
    paths = write("s3", "logs")
    result = replay(paths).run()
    assert (result.events, result.late, result.rejected) == (300, 0, [])
    assert replay("s3://logs/*.jsonl*").run().events == 300
    with pytest.raises(OutOfReach, match="s3://logs/gone"):
        Lines(["s3://logs/gone"])
