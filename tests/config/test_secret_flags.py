"""Secrets on the command line are refused, whatever key or form they have, and never repeated."""

from __future__ import annotations

import traceback
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.secret_shapes import holds_secret, is_secret_name
from pivotwatch.cli import main
from pivotwatch.cli.options import assigned, role_tables
from pivotwatch.config.config import Config, load
from pivotwatch.config.secret_flags import is_secret_type, models_in, refuse_secrets

SECRET = "hunter2-0123456789abcdef"


class Inner(BaseModel):
    """A table with a secret."""

    opaque: list[SecretStr | None] = []
    host: str = ""


class Later(BaseModel):
    """Settings of a later version."""

    opaque: SecretStr | None = None
    parts: list[Inner] = []
    more: dict[str, Any] = {}


@pytest.mark.parametrize(
    "assignment",
    [
        *(f"sasl_password={SECRET}", f"sasl-password={SECRET}", "sasl_password=", f"SASL_PASSWORD={SECRET}"),
        *(f"web.people.0.token={SECRET}", f"web.form_key={SECRET}", f"web.oidc.client_secret={SECRET}"),
        *(f"delivery.targets.0.secret={SECRET}", f"ingest.http.token={SECRET}", f"ingest.http.hmac={SECRET}"),
        *(
            f"ingest.pseudonyms.keys.0.key={SECRET}",
            f"pagerduty.api-key={SECRET}",
            f"sasl_password.x={SECRET}",
        ),
        *(
            f"delivery.base_url=https://kim:{SECRET}@page.example",
            f"delivery.base_url=https://{SECRET}@page.example",
        ),
        *(
            f"delivery.base_url=https://page.example/?access_token={SECRET}",
            f"brokers=kim:{SECRET}@kafka:9092",
        ),
        *(
            f"delivery.base_url=https://hooks.slack.com/services/T0/B0/{SECRET}",
            f"x=https://chat.example/hooks/{SECRET}",
        ),
        *(f"x=https://discord.com/api/webhooks/1/{SECRET}", f"sasl_username=https://a:p/{SECRET}@b"),
        *(f'delivery={{"targets": [{{"secret": "https://kim:{SECRET}@x"}}]}}', f"app_prefix=whsec_{SECRET}"),
        *(
            f"x=tgram://{SECRET}/1",
            f"delivery.base_url=discord://1/{SECRET}",
            f"x=a mailto://kim?pass={SECRET}",
        ),
        *(f"x=Bearer {SECRET}", f"x=-----BEGIN PRIVATE KEY-----{SECRET}", f"x=xoxb-{SECRET}"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(assignment: str) -> None:
    done = CliRunner().invoke(main, ["topics", "check", "--set", assignment])
    assert done.exit_code == 2
    assert "every user of this machine sees a command line" in done.output
    assert "environment variable" in done.output
    assert SECRET not in done.output


def test_brokers_with_a_password_are_refused() -> None:
    done = CliRunner().invoke(main, ["topics", "check", "--brokers", f"kim:{SECRET}@kafka:9092"])
    assert (done.exit_code, SECRET in done.output) == (2, False)


@pytest.mark.parametrize("start", ["sasl_password:", ""])
def test_an_assignment_without_equals_sign_is_not_repeated(start: str) -> None:
    done = CliRunner().invoke(main, ["topics", "check", "--set", f"{start}{SECRET}"])
    assert (done.exit_code, SECRET in done.output) == (2, False)


PLAIN = "opensesame"
"""A secret without any sign of one."""


@pytest.mark.parametrize("key", [*Config.model_fields, "topics.requests", "retention.alerts", "http.idle"])
@pytest.mark.parametrize("value", [PLAIN, f'{{token="{PLAIN}"}}', f"kim:{PLAIN}@kafka", f"[{PLAIN}"])
def test_no_refused_value_is_repeated(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUse) as flag:
        load(**assigned([f"{key}={value}", "theta=x"]))
    monkeypatch.setenv("PIVOTWATCH_" + key.replace(".", "__").upper(), value)
    with pytest.raises(WrongUse) as variable:
        load(theta="x")
    for raised in (flag, variable):
        assert PLAIN not in "".join(traceback.format_exception(raised.value))


def test_brokers_with_a_password_are_refused_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVOTWATCH_BROKERS", f"kim:{PLAIN}@kafka:9092")
    with pytest.raises(WrongUse, match="host:port") as raised:
        load()
    assert PLAIN not in str(raised.value)


def test_every_service_of_apprise_is_a_secret() -> None:
    apprise = pytest.importorskip("apprise")
    schemes = {
        scheme
        for service in apprise.Apprise().details()["schemas"]
        for scheme in (*(service["protocols"] or ()), *(service["secure_protocols"] or ()))
    }
    assert len(schemes) > 100
    assert {scheme for scheme in schemes if not holds_secret(f"{scheme}://a/b")} <= {"http", "https"}


@pytest.mark.parametrize(
    "assignment", [f"opaque={SECRET}", f"parts.0.opaque={SECRET}", f"parts.opaque={SECRET}"]
)
def test_a_later_secret_is_known_by_its_type(assignment: str) -> None:
    for tables in ({}, {"parts": Inner}):
        if tables and not assignment.startswith("parts"):
            continue
        with pytest.raises(WrongUse, match="environment variable"):
            refuse_secrets(assigned([assignment]), Later, tables)
    refuse_secrets(assigned(["parts.0.host=a", "more.x=y"]), Later, {})


def test_settings_without_a_secret_pass() -> None:
    pairs = [
        *(
            "bucket=1h",
            "brokers=kafka-1:9092,kafka-2:9092",
            "topics.requests=sk-events",
            "web_ports.web=8700",
        ),
        *("sasl_password_file=/run/secrets/kafka", "web.form_key_env=FORM_KEY", "ssl_keyfile=/etc/key.pem"),
        *("ingest.http.token_file=/run/token", "ingest.http.allow_without_token=true", "sasl_username=kim"),
        *(
            "delivery.base_url=https://page.example/watch/v2",
            "web.tls_keyfile=/etc/tls.key",
            "aliases=*-latest",
        ),
        "x=https://login.example/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/v2.0",
    ]
    refuse_secrets(assigned(pairs), Config, role_tables())


def fields(form: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, Any]]:
    """Every field of a model and of the models within it."""
    if form in seen:
        return
    seen.add(form)
    for name, field in form.model_fields.items():
        yield f"{form.__name__}.{name}", field.annotation
        for inner in models_in(field.annotation):
            yield from fields(inner, seen)


def test_every_setting_with_the_name_of_a_secret_has_the_type_of_one() -> None:
    seen: set[type[BaseModel]] = set()
    every = [pair for form in (Config, *role_tables().values()) for pair in fields(form, seen)]
    assert len(every) > 60
    wrong = [
        place
        for place, kind in every
        if is_secret_name(place.rpartition(".")[2])
        and not is_secret_type(kind)
        and not {bool, Path} & {kind, *typing.get_args(kind)}
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        *(f'token = "{SECRET}\n', f"token = {SECRET}\n", f'token = "a" {SECRET}\n', f"{SECRET} = = 1\n"),
        *(
            f'token = "\\{SECRET}"\n',
            f'token = "{SECRET}"\ntoken = "{SECRET}"\n',
            f'token = "{SECRET}\x01"\n',
        ),
        f'[token."{SECRET}\n',
    ],
)
def test_a_syntax_error_repeats_no_secret(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(WrongUse, match="not a TOML file") as caught:
        load(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert "hunter2" not in shown
