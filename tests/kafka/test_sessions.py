"""Sessions of the page on a real broker: over several workers, restarts, and the commands."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from pivotwatch.cli import main
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from tests.kafka.engine_rig import wait_for
from tests.web.site import KIM, LEE, PEOPLE
from tests.web.test_role import address, worker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def config(broker: str, topic_prefix: str) -> Config:
    made = load(
        brokers=broker,
        topic_prefix=topic_prefix,
        app_prefix=topic_prefix + "pw",
        web_port=0,
        web={"people": PEOPLE, "secure_cookie": False},
    )
    with sync_client.admin(made) as client:
        assert all(finding.ok for finding in create(client, specs(made), made.brokers))
    return made


class Browser:
    """Logs in with the form, and keeps the cookie."""

    def __init__(self) -> None:
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def open(self, url: str, fields: dict[str, str] | None = None) -> str:
        """The text of a page, after redirects."""
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        with self._opener.open(url, body, timeout=30) as response:
            return str(response.read().decode())

    def log_in(self, url: str, token: str) -> None:
        """Log in with a token."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.open(url + "/login"))
        assert found
        assert "Log out" in self.open(url + "/login", {"form_token": found[1], "token": token})

    def is_in(self, url: str) -> bool:
        """Whether the page knows the session."""
        return "Log out" in self.open(url + "/")


def run(config: Config, *arguments: str) -> Result:
    options: list[Any] = ["--brokers", config.brokers, "--set", f"topic_prefix={config.topic_prefix}"]
    result = CliRunner().invoke(main, ["sessions", *arguments, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_a_session_counts_at_every_worker_until_it_is_ended(config: Config, tmp_path: Path) -> None:
    env = {"KIM_TOKEN": KIM, "LEE_TOKEN": LEE}
    kim, lee = Browser(), Browser()
    with (
        worker(config, tmp_path / "one", **env) as one,
        worker(config, tmp_path / "two", **env) as two,
    ):
        first, second = address(tmp_path / "one", one), address(tmp_path / "two", two)
        kim.log_in(first, KIM)
        assert kim.is_in(second)
        lee.log_in(second, LEE)
        assert lee.is_in(first)
    with worker(config, tmp_path / "three", **env) as three:
        url = address(tmp_path / "three", three)
        assert kim.is_in(url), "a session survives a restart"
        listed = [orjson.loads(line) for line in run(config, "list", "--json").stdout.splitlines()]
        assert [(entry["name"], entry["role"]) for entry in listed] == [
            ("lee", "viewer"),
            ("kim", "operator"),
        ]
        run(config, "end", "kim")
        wait_for("the end of the session", lambda: not kim.is_in(url))
        assert lee.is_in(url)
    with worker(config, tmp_path / "four", **env) as four:
        url = address(tmp_path / "four", four)
        assert not kim.is_in(url), "its end survives a restart as well"
        assert lee.is_in(url)
        run(config, "end", "--all")
        wait_for("the end of every session", lambda: not lee.is_in(url))
    assert run(config, "list").stdout == ""
    for name in ("one", "two", "three", "four"):
        told = (tmp_path / name).read_text()
        assert "Traceback" not in told
        assert KIM not in told
