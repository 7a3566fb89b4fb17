"""What `pivotwatch doctor` finds without a broker: every table, every secret, all problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pivotwatch.base.checks import Check
from pivotwatch.config.config import load
from pivotwatch.tools.doctor import examine_settings

TOKEN = "0123456789abcdef"


def found(name: str, **keys: object) -> list[Check]:
    return [check for check in examine_settings(load(**keys)) if check.name == name]


def write(path: Path, mode: int, text: str = TOKEN) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def person(path: str) -> dict[str, object]:
    return {"people": [{"name": "kim", "token_file": path}]}


def test_a_page_for_this_machine_is_fine() -> None:
    (check,) = found("web")
    assert (check.status, "without a log-in" in check.message) == ("ok", True)


@pytest.mark.parametrize(
    ("host", "table", "status", "says"),
    [
        ("0.0.0.0", {}, "fail", "open to other machines"),
        ("127.0.0.1", {"session": "90d"}, "fail", "longer than retention.sessions"),
        ("127.0.0.1", {"peeple": []}, "fail", "did you mean people?"),
    ],
)
def test_a_page_that_would_not_start_is_reported(host: str, table: dict, status: str, says: str) -> None:
    (check,) = found("web", web_host=host, web=table)
    assert check.status == status
    assert says in check.message
    assert check.next_step


def test_missing_and_short_tokens_are_reported_without_the_token(tmp_path: Path) -> None:
    (missing,) = found("web", web=person(str(tmp_path / "none")))
    (short,) = found("web", web=person(write(tmp_path / "short", 0o600, "geheim")))
    assert [missing.status, short.status] == ["fail", "fail"]
    assert "No such file" in missing.message
    assert "at least 16 characters" in short.message
    assert "geheim" not in short.message


def test_a_page_with_tokens_needs_tls_on_a_network(tmp_path: Path) -> None:
    table = person(write(tmp_path / "kim", 0o600))
    assert [check.status for check in found("web", web=table)] == ["ok"]
    (check,) = found("web", web=table, web_host="0.0.0.0")
    assert (check.status, "without TLS" in check.message) == ("warn", True)


def test_secrets_that_every_user_can_read_are_reported(tmp_path: Path) -> None:
    open_to_all = write(tmp_path / "open", 0o644)
    private = write(tmp_path / "private", 0o640)
    keys = {"web": person(open_to_all), "sasl_password_file": private}
    warned = [check for check in found("configuration", **keys) if check.status == "warn"]
    assert [check.message for check in warned] == [
        f"web.people.0.token_file: every user can read {open_to_all}"
    ]
    assert warned[0].next_step == f"chmod 600 {open_to_all}"


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    keys = {
        "web": {"peeple": []},
        "ingest": {"topcs": []},
        "delivery": {"targts": []},
        "sasl_password_file": write(tmp_path / "open", 0o604),
    }
    bad = [check.name for check in examine_settings(load(**keys)) if check.status != "ok"]
    assert bad == ["configuration", "delivery", "ingest", "web"]
