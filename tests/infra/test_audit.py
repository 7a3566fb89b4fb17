"""The audit of dependencies, against a local database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.kafka.supervisor import free_port
from tests.audit import main

VULNERABILITY = {
    "id": "TEST-2026-1",
    "summary": "one that we made up",
    "affected": [
        {
            "package": {"name": "vulnerable", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    """A database with one vulnerable package."""

    def do_HEAD(self) -> None:
        self.send_response(405)
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        body = (
            b"no JSON"
            if name == "broken"
            else json.dumps({"vulns": [VULNERABILITY]} if name == "vulnerable" else {}).encode()
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Database)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


def audit(folder: Path, database: str, *packages: str, flags: tuple[str, ...] = ()) -> Result:
    lock = folder / "lock.txt"
    lock.write_text("".join(f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in packages))
    return CliRunner().invoke(main, ["--lock", str(lock), "--database", database, *flags])


def test_a_known_vulnerability_fails(database: str, tmp_path: Path) -> None:
    done = audit(tmp_path, database, "sound", "vulnerable")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "vulnerable 1.0: TEST-2026-1, fixed in 1.1\n"


def test_packages_without_known_vulnerabilities_pass(database: str, tmp_path: Path) -> None:
    done = audit(tmp_path, database, "sound", flags=("--required",))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "audit: no known vulnerability in lock.txt\n"


def test_a_failing_tool_fails_the_audit(database: str, tmp_path: Path) -> None:
    done = audit(tmp_path, database, "broken")
    assert done.exit_code == 1
    assert "pip-audit failed" in done.stderr


def test_an_unreachable_database_is_reported_and_fails_only_with_required(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/v1/query"
    for flags, status in (((), 0), (("--required",), 3)):
        done = audit(tmp_path, nowhere, "vulnerable", flags=flags)
        assert done.exit_code == status
        assert "not reached" in done.stderr
        assert "nothing was checked" in done.stderr
