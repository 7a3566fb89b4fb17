"""Log-in through a real OpenID provider: the whole flow, and everything that must be refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import orjson
import pytest
from oidc_provider_mock import _app
from yarl import URL

from pivotwatch.base.errors import WrongUse
from pivotwatch.web.oidc import ALGORITHMS
from pivotwatch.web.settings import read_settings
from tests.web.provider_rig import CALLBACK, Provider, provider
from tests.web.site import KIM, PEOPLE, TOKENS, Site, site
from tests.web.test_access import cookie_in, recorded_log, status_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # The provider's, not ours.
SECRET = "secret-of-the-client-0123456789"
Test = Callable[[Site, Provider], Awaitable[None]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a test with a provider and a site that trusts it."""
    for name, token in (TOKENS | {"OIDC_SECRET": SECRET}).items():
        monkeypatch.setenv(name, token)

    def run(
        test: Test, how: dict[str, Any] | None = None, web: dict[str, Any] | None = None, **oidc: Any
    ) -> None:
        async def inside(running: Provider) -> None:
            table = running.table(**{"client_secret_env": "OIDC_SECRET"} | oidc)
            async with site(**{"oidc": table} | (web or {})) as made:
                await test(made, running)

        with provider(**how or {}) as running:
            asyncio.run(inside(running))

    return run


async def to_provider(made: Site, path: str = "/login/oidc") -> str:
    """Begin a log-in; return the address at the provider."""
    answer = await made.get(path)
    assert answer.status == 303, await answer.text()
    return answer.headers["Location"]


async def at_provider(made: Site, address: str, sub: str = "kim", **fields: str) -> str:
    """Authorise at the provider; return path and query of the callback."""
    async with made.client.session.post(address, data={"sub": sub} | fields, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        parts = urlsplit(answer.headers["Location"])
        return f"{parts.path}?{parts.query}"


async def log_in(made: Site, sub: str = "kim", change: Callable[[str], str] = lambda url: url) -> Any:
    """Log in; ``change`` alters the address at the provider on the way."""
    return await made.get(await at_provider(made, change(await to_provider(made)), sub))


def replaced(url: str, **fields: str) -> str:
    """The address with other fields in its query."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | fields
    return urlunsplit(parts._replace(query=urlencode(query)))


async def assert_refused(made: Site, answer: Any, status: int, text: str) -> None:
    assert (answer.status, text in await answer.text()) == (status, True), await answer.text()
    assert not any(cookie.key == "pivotwatch" for cookie in made.client.session.cookie_jar)
    assert (await made.get("/")).status == 303
    assert made.broker.sessions == []


def test_people_log_in_and_get_the_role_of_their_group(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        told = recorded_log()
        page = await (await made.get("/login?next=/runbook")).text()
        assert "/login/oidc?next=/runbook" in page
        assert 'name="token"' not in page
        address = await to_provider(made, "/login/oidc?next=/runbook")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert len(asked["state"]) >= 32 <= len(asked["nonce"])
        answer = await made.get(await at_provider(made, address))
        text = await answer.text()
        assert (answer.status, "kim@example.com" in text) == (200, True)
        assert '<meta http-equiv="refresh" content="0; url=/runbook">' in text
        (exchange,) = [fields for path, fields in running.asked if path == "/oauth2/token"]
        digest = hashlib.sha256(exchange["code_verifier"].encode()).digest()
        assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        page = await (await made.get("/")).text()
        assert "kim@example.com" in page
        assert "operator" in page
        number = made.put_alert()
        form = {"verdict": "benign", "form_token": await made.form_token(f"/incidents/{number}")}
        assert (await made.post(f"/incidents/{number}/decisions", data=form)).status == 303
        assert orjson.loads(made.broker.sent[0].value)["by"] == "kim@example.com"
        assert (await log_in(made, "lee")).status == 200
        assert "viewer" in await (await made.get("/")).text()
        assert told[0] == 'login outcome=accepted method=oidc name="kim@example.com" address=127.0.0.1'
        shown = "".join(told) + text + page
        assert SECRET not in shown
        assert exchange["code"] not in shown

    check(test)


def test_a_public_client_has_no_secret(check: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(made: Site, running: Provider) -> None:
        assert (await log_in(made)).status == 200
        (exchange,) = [fields for path, fields in running.asked if path == "/oauth2/token"]
        assert exchange["client_id"] == "pivotwatch"
        assert "client_secret" not in exchange

    monkeypatch.setattr(_app.AuthorizationCodeGrant, "TOKEN_ENDPOINT_AUTH_METHODS", ["none"])
    check(test, client_secret_env=None)


@pytest.mark.parametrize(
    ("sub", "text"),
    [
        ("mia", "Your account mia@example.com has no role here: ask the security team"),
        ("ned", "has not verified your address"),
        ("odd", "sent no usable email of you"),
        ("nobody", "Your account nobody has no role here"),
    ],
)
def test_whoever_has_no_role_or_name_is_refused(check: Callable[..., None], sub: str, text: str) -> None:
    async def test(made: Site, running: Provider) -> None:
        await assert_refused(made, await log_in(made, sub), 403, text)

    check(test)


def test_a_claim_within_a_claim_gives_the_role(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        running.storage.store_user(
            _app.User(sub="pat", claims={"upn": "pat", "realm_access": {"roles": ["soc", 7]}})
        )
        assert (await log_in(made, "pat")).status == 200
        assert "operator" in await (await made.get("/")).text()

    check(discovered(test), roles_claim="realm_access.roles", name_claim="upn")


def discovered(test: Test) -> Test:
    """The test after a first request to the provider, whose users can then be changed."""

    async def both(made: Site, running: Provider) -> None:
        await to_provider(made)
        await test(made, running)

    return both


def test_a_wrong_state_or_another_browser_is_refused(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        callback = await at_provider(made, await to_provider(made))
        await assert_refused(
            made, await made.get(replaced(callback, state="x" * 32)), 403, "not begun in this"
        )
        await assert_refused(made, await made.get(callback), 403, "not begun in this")
        assert not [path for path, _ in running.asked if path == "/oauth2/token"]
        callback = await at_provider(made, await to_provider(made))
        made.client.session.cookie_jar.clear()
        await assert_refused(made, await made.get(callback), 403, "not begun in this")
        assert (await made.get(CALLBACK)).status == 403

    check(test)


def test_a_log_in_counts_once_and_for_ten_minutes(
    check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(made: Site, running: Provider) -> None:
        callback = await at_provider(made, await to_provider(made))
        assert (await made.get(callback)).status == 200
        made.broker.sessions.clear()
        assert (await made.get(callback)).status == 403
        made.client.session.cookie_jar.clear()
        callback = await at_provider(made, await to_provider(made))
        with pytest.MonkeyPatch.context() as later:
            real = time.time
            later.setattr("itsdangerous.timed.time.time", lambda: real() + 602)
            assert (await made.get(callback)).status == 403

    check(test)


def test_a_code_of_another_log_in_is_refused_by_its_nonce(check: Callable[..., None], caplog: Any) -> None:
    async def test(made: Site, running: Provider) -> None:
        answer = await log_in(made, change=lambda url: replaced(url, nonce="of another log-in"))
        await assert_refused(made, answer, 403, "token of the identity provider is not valid")
        assert "not valid: invalid_claim nonce" in caplog.text

    check(test)


def patched(name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """Change what the provider writes into its tokens."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = _app.OpenIDCode.get_jwt_config

        def config(self: Any, grant: Any, client: object = None) -> dict[str, Any]:
            return real(self, grant, client) | {name: value}

        monkeypatch.setattr(_app.OpenIDCode, "get_jwt_config", config)

    return patch


def audiences(value: list[str]) -> Callable[[pytest.MonkeyPatch], None]:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_app.OpenIDCode, "get_audiences", lambda *_: value, raising=False)

    return patch


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (patched("iss", "http://127.0.0.1:9"), "invalid_claim iss"),
        (patched("exp", -120), "expired_token"),
        (
            patched("key", _app.jose.RSAKey.generate_key(is_private=True).as_dict(is_private=True)),
            "bad_signature",
        ),
        (audiences(["another page"]), "invalid_claim aud"),
        (audiences(["pivotwatch", "another page"]), "missing_claim azp"),  # For which of the two is it?
    ],
    ids=["issuer", "expired", "key", "audience", "audiences"],
)
def test_a_token_that_is_not_for_us_is_refused(
    check: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: Any, patch: Any, reason: str
) -> None:
    async def test(made: Site, running: Provider) -> None:
        answer = await log_in(made)
        await assert_refused(made, answer, 403, "token of the identity provider is not valid")
        assert f"not valid: {reason}" in caplog.text

    patch(monkeypatch)
    check(test)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_without_a_public_key_signature_is_refused(
    check: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: Any, algorithm: str
) -> None:
    assert algorithm not in ALGORITHMS

    def forged(self: Any, token: dict[str, Any], request: Any, **_: Any) -> str:
        claims = {
            "iss": _app.flask.request.host_url.rstrip("/"),
            "aud": "pivotwatch",
            "sub": "kim",
            "email": "kim@example.com",
            "groups": ["soc"],
            "iat": int(time.time()),
            "exp": int(time.time()) + 60,
            "nonce": request.authorization_code.get_nonce(),
        }
        parts = [
            base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=")
            for part in ({"alg": algorithm, "typ": "JWT"}, claims)
        ]
        signed = b".".join(parts)
        mac = b""
        if algorithm == "HS256":  # Signed with the client secret, which both sides know.
            mac = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).rstrip(b"=")
        return (signed + b"." + mac).decode()

    async def test(made: Site, running: Provider) -> None:
        answer = await log_in(made)
        await assert_refused(made, answer, 403, "token of the identity provider is not valid")
        assert "not valid: unsupported_algorithm" in caplog.text

    monkeypatch.setattr(_app.OpenIDCode, "encode_id_token", forged)
    check(test)


def test_a_rotated_key_counts_at_once_and_the_old_one_no_more(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        assert (await log_in(made)).status == 200
        running.rotate()
        assert (await log_in(made)).status == 200
        made.client.session.cookie_jar.clear()
        made.broker.sessions.clear()
        # The key is withdrawn between the token and the look at the keys.
        running.before = lambda path: running.rotate() if path == "/jwks" else None
        await assert_refused(made, await log_in(made), 403, "token of the identity provider is not valid")

    check(test)


def test_an_expired_token_of_the_provider_is_refused(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        answer = await log_in(made)
        await assert_refused(made, answer, 403, "token of the identity provider is not valid")

    check(test, how={"max_age": timedelta(seconds=-60)})


def test_a_refusal_of_the_provider_is_shown_as_plain_words(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        callback = await at_provider(made, await to_provider(made), action="deny")
        state = parse_qs(urlsplit(await to_provider(made)).query)["state"][0]
        answer = await made.get(replaced(callback, state=state))
        await assert_refused(made, answer, 403, "refused the log-in: access_denied")
        state = parse_qs(urlsplit(await to_provider(made)).query)["state"][0]
        answer = await made.get(f"{CALLBACK}?state={state}&error=%3Cscript%3E")
        await assert_refused(made, answer, 403, "refused the log-in: an unknown error")
        state = parse_qs(urlsplit(await to_provider(made)).query)["state"][0]
        answer = await made.get(f"{CALLBACK}?state={state}&code=made-up")
        await assert_refused(made, answer, 403, "refused the log-in: invalid_grant")
        state = parse_qs(urlsplit(await to_provider(made)).query)["state"][0]
        answer = await made.get(f"{CALLBACK}?state={state}&code=x&iss=https://evil.example")
        await assert_refused(made, answer, 403, "not from the identity provider")

    check(test)


def test_a_provider_that_is_down_does_not_stop_the_page(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        callback = await at_provider(made, await to_provider(made))
        running.stop()
        answer = await made.get(callback)
        await assert_refused(made, answer, 503, "The identity provider did not answer")
        answer = await made.log_in(KIM)
        assert answer.status == 303, "a token still works"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Provider, "stop", once(Provider.stop))
        check(test, web={"people": PEOPLE})


def once(call: Callable[[Any], None]) -> Callable[[Any], None]:
    done = []

    def run(self: Any) -> None:
        if not done:
            done.append(True)
            call(self)

    return run


def test_before_the_first_log_in_a_provider_that_is_down_is_named(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        for _ in range(2):
            answer = await made.get("/login/oidc")
            await assert_refused(made, answer, 503, "did not answer; try again later")

    check(test, issuer="http://127.0.0.1:1")


def test_a_provider_that_hangs_is_left_after_the_deadline(check: Callable[..., None]) -> None:
    free = threading.Event()

    async def test(made: Site, running: Provider) -> None:
        running.before = lambda path: free.wait(10) and None
        begun = time.monotonic()
        answers = await asyncio.gather(*(made.get("/login/oidc") for _ in range(5)))
        assert {answer.status for answer in answers} == {503}
        assert 0.3 <= time.monotonic() - begun < 3
        free.set()

    check(test, timeout="300ms")


@pytest.mark.parametrize("answer", ["[]", "{", '{"issuer": "https://other.example"}', "x" * 300_000])
def test_a_strange_provider_is_refused(check: Callable[..., None], answer: str) -> None:
    async def test(made: Site, running: Provider) -> None:
        running.before = lambda _: answer
        await assert_refused(made, await made.get("/login/oidc"), 403, "he identity provider")

    check(test)


def test_a_name_of_a_person_with_a_token_is_not_taken_over(check: Callable[..., None]) -> None:
    async def test(made: Site, running: Provider) -> None:
        running.storage.store_user(_app.User(sub="eve", claims={"upn": "kim", "groups": ["soc"]}))
        answer = await log_in(made, "eve")
        await assert_refused(made, answer, 403, "is the name of a person with a token here")

    check(discovered(test), web={"people": PEOPLE}, name_claim="upn")


def test_a_session_ends_when_the_roles_or_the_provider_change(
    monkeypatch: pytest.MonkeyPatch, check: Callable[..., None]
) -> None:
    async def test(made: Site, running: Provider) -> None:
        assert (await log_in(made)).status == 200
        cookie, records = cookie_in(made), made.broker.sessions
        for change, status in (
            ({}, 200),
            ({"operators": ["admins"]}, 303),
            ({"issuer": "https://other.example"}, 303),
            ({"client_id": "other"}, 303),
        ):
            table = running.table(client_secret_env="OIDC_SECRET") | change
            async with site(oidc=table) as other:
                for record in records:
                    other.app.shell.task.reader.take(("sessions", 0), record)
                assert await status_of(other, cookie) == status, change

    check(test)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"issuer": "http://id.example"}, "an address with https://"),
        ({"redirect_uri": "https://page.example/elsewhere"}, "/login/oidc/callback"),
        ({"operators": [], "viewers": []}, "expected operators or viewers"),
        ({"scopes": ["email"]}, "openid"),
        ({"client_secret": "hunter2"}, "no such key"),
        ({"client_secret_env": "A", "client_secret_file": "/x"}, "one of client_secret_env"),
    ],
)
def test_mistakes_in_the_settings_are_named(change: dict[str, Any], told: str) -> None:
    table = {
        "issuer": "https://id.example",
        "client_id": "pivotwatch",
        "redirect_uri": "https://page.example/login/oidc/callback",
        "operators": ["soc"],
    }
    assert read_settings({"oidc": table}).has_login
    with pytest.raises(WrongUse) as refused:
        read_settings({"oidc": table | change})
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "part", ["%ff", "%00", "%ed%a0%80", "é", "%0d%0aX:%20y", "x" * 5000, "a=b&code=c", ""]
)
def test_strange_answers_of_a_browser_are_refused(check: Callable[..., None], part: str) -> None:
    async def test(made: Site, running: Provider) -> None:
        for query in (f"code={part}&state=STATE", f"code=x&state={part}", f"error={part}&state=STATE", part):
            state = parse_qs(urlsplit(await to_provider(made)).query)["state"][0]
            address = URL(f"{CALLBACK}?{query.replace('STATE', state)}", encoded=part.isascii())
            answer = await made.get(address)
            assert answer.status in (403, 429), (query, await answer.text())
        await to_provider(made, f"/login/oidc?next={part}")
        assert made.broker.sessions == []

    check(test)
