"""Login, sessions, forms, roles and response headers of the page."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from datetime import timedelta

import orjson
import pytest
from itsdangerous import BadSignature, URLSafeTimedSerializer

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.log_limits import RateLimitedLog
from pivotwatch.config.config import load
from pivotwatch.contracts.codec import encode
from pivotwatch.contracts.sessions import Session, session_key
from pivotwatch.engine.http.failed_attempts import ALLOWED, DELAY_SECONDS
from pivotwatch.web import decision_form
from pivotwatch.web.authentication import Authenticator
from pivotwatch.web.checks import refuse_forgotten_sessions, refuse_open_page
from pivotwatch.web.login_log import LoginLog
from pivotwatch.web.security_headers import HEADERS
from pivotwatch.web.sessions import MOST_OF_PERSON, MOST_SESSIONS, Sessions, now
from pivotwatch.web.settings import read_settings
from tests.reporting.examples import HOSTILE
from tests.web.site import KIM, LEE, PEOPLE, TOKENS, bearer, served, site

PROXY = {
    "addresses": ["127.0.0.0/8"],
    "operators": ["kim"],
    "groups_header": "X-Groups",
    "operator_groups": ["soc"],
}
OIDC = {
    "issuer": "https://id.example",
    "client_id": "pivotwatch",
    "redirect_uri": "https://page.example/login/oidc/callback",
    "operators": ["soc"],
}
ELSEWHERE = PROXY | {"addresses": ["10.0.0.0/8"]}
PAGES = (
    "/",
    "/incidents",
    "/incidents/0000000000000001",
    "/runbook",
    "/api/v1/incidents",
    "/api/v1/releases",
)


# An open page.


@served()
async def test_an_open_page_is_read_only(site):
    number = site.put_alert()
    assert (await site.get("/")).status == 200
    page = await (await site.get(f"/incidents/{number}")).text()
    assert "Only operators can decide" in page
    assert "<form" not in page
    answer = await site.post(f"/api/v1/incidents/{number}/decisions", json={"verdict": "benign"})
    assert answer.status == 403
    assert site.broker.sent == []


@served(open_as="operator")
async def test_an_open_page_takes_decisions_only_when_configured_and_only_from_its_own_forms(site):
    number = site.put_alert()
    path = f"/incidents/{number}/decisions"
    assert (await site.post(path, data={"verdict": "benign"})).status == 403
    assert (await site.post("/api/v1" + path, json={"verdict": "benign"})).status == 403
    token = await site.form_token(f"/incidents/{number}")
    assert (await site.post(path, data={"verdict": "benign", "form_token": token})).status == 303
    assert len(site.broker.sent) == 1


@served()
async def test_an_open_page_refuses_foreign_host_names(site):
    for path in PAGES:
        assert (await site.get(path, headers={"Host": "evil.example"})).status == 403
    assert (await site.get("/", headers={"Host": "localhost:80"})).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "page.example"])
def test_a_page_without_a_login_listens_only_on_loopback(host):
    with pytest.raises(WrongUse, match=r"set \[web\] people, oidc or proxy"):
        refuse_open_page(load(web_host=host), read_settings({}))
    refuse_open_page(load(web_host=host), read_settings({"people": PEOPLE}))
    refuse_open_page(load(web_host=host), read_settings({"proxy": PROXY}))
    refuse_open_page(load(web_host=host), read_settings({"oidc": OIDC}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_loopback_a_login_is_optional(host):
    refuse_open_page(load(web_host=host), read_settings({}))


# A page with a login.


@served(people=PEOPLE)
async def test_without_a_login_only_health_and_style_are_served(site):
    site.put_alert()
    for path in PAGES:
        answer = await site.get(path)
        text = await answer.text()
        assert "AS64500" not in text
        assert "acct-" not in text
        if path.startswith("/api"):
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        else:
            assert (answer.status, answer.headers["Location"][:12]) == (303, "/login?next=")
    for path in ("/health", "/ready", "/metrics", "/login", "/static/page.css", "/static/page.js"):
        assert (await site.get(path)).status == 200
    assert (await site.get("/api/v1/events")).status == 401


@served(people=PEOPLE)
async def test_the_session_cookie_is_hidden_from_scripts_and_other_sites(site):
    answer = await site.log_in(KIM, next="/incidents?state=all")
    assert (answer.status, answer.headers["Location"]) == (303, "/incidents?state=all")
    (cookie,) = [line for line in answer.headers.getall("Set-Cookie") if line.startswith("pivotwatch=")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    page = await (await site.get("/")).text()
    assert "kim" in page
    assert "operator" in page


@served(people=PEOPLE, web_host="0.0.0.0")
async def test_beyond_loopback_the_cookie_requires_https(site):
    answer = await site.get("/login")
    (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("__Host-pivotwatch-login=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))


def test_with_its_own_tls_the_cookie_requires_https_on_loopback_too():
    def cookie(**table):
        return Authenticator(read_settings(table), "127.0.0.1", None, None, None).cookie

    table = {"people": [], "tls_certfile": "/x", "tls_keyfile": "/y"}
    assert cookie(**table) == "__Host-pivotwatch"
    assert cookie(**table, secure_cookie=False) == "pivotwatch"
    assert cookie() == "pivotwatch"


@served(people=PEOPLE)
async def test_signatures_of_the_login_form_do_not_allow_fast_guessing(site):
    token = await site.form_token("/login")
    for key in (KIM, LEE, f"{KIM}\n{LEE}", f"{LEE}\n{KIM}"):
        with pytest.raises(BadSignature):
            URLSafeTimedSerializer(key, salt="pivotwatch-form").loads(token)


@served(people=PEOPLE)
async def test_a_login_redirects_only_within_the_site(site):
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "evil"):
        answer = await site.log_in(KIM, next=target)
        assert answer.headers["Location"] == "/"


@served(people=PEOPLE)
async def test_the_right_token_passes_while_others_guess_from_the_same_address(site):
    def guess(number):
        if number % 2:
            return site.get("/api/v1/incidents", headers=bearer(f"guess {number}"))
        return site.post("/login", data=form | {"token": f"guess {number}"})

    form = {"form_token": await site.form_token("/login")}
    begun = time.monotonic()
    answers = await asyncio.gather(*(guess(number) for number in range(ALLOWED + 20)))
    assert sorted(answer.status for answer in answers) == [401] * ALLOWED + [429] * 20
    assert time.monotonic() - begun >= DELAY_SECONDS, "some of them were slowed"
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers if answer.status == 429)
    slowed = [asyncio.ensure_future(guess(number)) for number in range(3)]
    begun = time.monotonic()
    assert (await site.get("/api/v1/incidents", headers=bearer(KIM))).status == 200
    assert (await site.post("/login", data=form | {"token": KIM})).status == 303
    assert time.monotonic() - begun < 0.9 * DELAY_SECONDS, "not slowed, and not behind those who are"
    await asyncio.gather(*slowed)


@served(people=PEOPLE)
async def test_sessions_continue_while_others_guess_tokens(site):
    await site.log_in(KIM)
    for _ in range(12):
        await site.get("/api/v1/incidents", headers=bearer("wrong"))
    assert (await site.get("/")).status == 200


@served(people=PEOPLE)
async def test_a_program_sends_its_token(site):
    assert (await site.get("/api/v1/incidents", headers=bearer(LEE))).status == 200
    for header in (
        "Bearer wrong",
        "Basic a2ltOng=",
        "Bearer",
        "Bearer \udce4".encode("utf-8", "replace").decode(),
    ):
        answer = await site.get("/api/v1/incidents", headers={"Authorization": header})
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@served(people=PEOPLE)
async def test_a_forged_or_foreign_cookie_is_ignored(site):
    await site.log_in(KIM)
    cookie = next(c.value for c in site.client.session.cookie_jar if c.key == "pivotwatch")
    body, _, signature = cookie.rpartition(".")
    for bad in ("", "x", body, body + "." + signature[::-1], "W10." + signature):
        site.client.session.cookie_jar.clear()
        assert (await site.get("/", cookies={"pivotwatch": bad})).status == 303


def cookie_of(tokens, monkeypatch, now=None):
    """The cookie of a session that was created with these tokens, and its records."""
    for name, token in (TOKENS | tokens).items():
        monkeypatch.setenv(name, token)
    if now is not None:
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now)

    async def inside():
        async with site(people=PEOPLE) as made:
            await made.log_in(tokens.get("KIM_TOKEN", KIM))
            cookie = next(c.value for c in made.client.session.cookie_jar if c.key == "pivotwatch")
            return cookie, made.broker.sessions

    return asyncio.run(inside())


def status_with(session, tokens, monkeypatch, now=None, people=PEOPLE):
    cookie, records = session
    for name, token in (TOKENS | tokens).items():
        monkeypatch.setenv(name, token)
    if now is not None:
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now)

    async def inside():
        async with site(people=people, session="1h") as made:
            for record in records:
                made.app.shell.task.reader.take(("sessions", 0), record)
            return (await made.get("/", cookies={"pivotwatch": cookie})).status

    return asyncio.run(inside())


def test_a_session_survives_a_restart_and_ends_with_its_token_and_its_time(monkeypatch):
    session = cookie_of({}, monkeypatch, now=1000)
    assert status_with(session, {}, monkeypatch, now=1000 + 3599) == 200
    assert status_with(session, {}, monkeypatch, now=1000 + 3602) == 303
    assert status_with(session, {"KIM_TOKEN": "another-token-of-kim"}, monkeypatch, now=1001) == 303


def test_a_person_whose_role_changed_or_who_was_removed_has_no_session(monkeypatch):
    session = cookie_of({}, monkeypatch)
    kim, lee = PEOPLE
    assert status_with(session, {}, monkeypatch) == 200
    for people in ([kim | {"role": "viewer"}, lee], [lee], [kim | {"name": "kim2"}, lee]):
        assert status_with(session, {}, monkeypatch, people=people) == 303


def test_a_record_that_a_writer_to_the_topic_made_up_is_no_session(monkeypatch):
    kim, (record,) = cookie_of({}, monkeypatch)
    body = orjson.loads(record.value)
    for change in ({"name": "lee"}, {"ends": "2099-01-01T00:00:00Z"}, {"tag": "x"}, {"method": "oidc"}):
        forged = record._replace(value=orjson.dumps(body | change))
        assert status_with((kim, [forged]), {}, monkeypatch) == 303, change
    assert status_with((kim, [record._replace(key=b"session:other")]), {}, monkeypatch) == 303


@served(people=PEOPLE)
async def test_logging_out_removes_the_cookie_and_ends_the_session(site):
    await site.log_in(LEE)
    assert (await site.post("/logout")).status == 403
    cookie = cookie_in(site)
    answer = await site.post("/logout", data={"form_token": await site.form_token("/")})
    assert answer.headers["Location"] == "/login"
    assert (await site.get("/")).status == 303
    assert (await site.get("/", cookies={"pivotwatch": cookie})).status == 303
    assert site.broker.sessions[-1].value is None


def cookie_in(site):
    """The session cookie of the client."""
    return next(c.value for c in site.client.session.cookie_jar if c.key == "pivotwatch")


async def log_in_anew(site, token):
    """Log in as in another browser; return the session cookie."""
    site.client.session.cookie_jar.clear()
    assert (await site.log_in(token)).status == 303
    return cookie_in(site)


async def status_of(site, cookie):
    site.client.session.cookie_jar.clear()
    return (await site.get("/", cookies={"pivotwatch": cookie})).status


@served(people=PEOPLE)
async def test_signing_out_everywhere_ends_every_session_of_the_person_and_no_other(site):
    kim, lee, other = [await log_in_anew(site, token) for token in (KIM, LEE, KIM)]
    page = await (await site.get("/sessions")).text()
    assert page.count("a token") == 2
    form = {"form_token": await site.form_token("/sessions"), "everywhere": "1"}
    assert (await site.post("/logout", data=form)).status == 303
    assert [await status_of(site, cookie) for cookie in (kim, lee, other)] == [303, 200, 303]
    assert (site.broker.sessions[-1].key, site.broker.sessions[-1].value) == (b"person:kim", None)
    assert dict(site.broker.sessions[-1].headers)["pivotwatch.by"] == b"kim"
    assert await status_of(site, await log_in_anew(site, KIM)) == 200


@served(people=PEOPLE)
async def test_a_record_of_another_worker_or_of_the_command_ends_a_session(site):
    kim, lee = await log_in_anew(site, KIM), await log_in_anew(site, LEE)
    site.put("sessions", b"", key=b"person:kim")
    assert [await status_of(site, cookie) for cookie in (kim, lee)] == [303, 200]


@served(people=PEOPLE)
async def test_an_open_event_stream_shows_nothing_after_the_session_ended(site):
    await site.log_in(KIM)
    answer = await site.get("/api/v1/events")
    site.put("sessions", b"", key=b"person:kim")
    site.put_alert(7)
    assert b"AS64500" not in await asyncio.wait_for(answer.content.read(), 10)


@served(people=PEOPLE)
async def test_the_sessions_of_a_person_are_limited_and_the_oldest_ends(site):
    first = await log_in_anew(site, KIM)
    second = await log_in_anew(site, KIM)
    for _ in range(MOST_OF_PERSON - 1):
        await log_in_anew(site, KIM)
    assert [await status_of(site, cookie) for cookie in (first, second)] == [303, 200]


@served(people=PEOPLE)
async def test_without_the_broker_nobody_logs_in_and_log_out_says_so(site):
    await site.log_in(KIM)
    form = {"form_token": await site.form_token("/")}
    cookie = cookie_in(site)
    site.broker.answers = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pivotwatch.web.sessions.ANSWER_SECONDS", 0.05)
        answer = await site.post("/logout", data=form)
        assert answer.status == 503
        assert "maybe not at every worker" in await answer.text()
        assert cookie not in {c.value for c in site.client.session.cookie_jar}
        assert await status_of(site, cookie) == 303
        answer = await site.log_in(KIM)
        assert answer.status == 503
        assert "the log-in was not saved" in await answer.text()


def test_all_sessions_are_limited():
    sessions = Sessions()
    begun = now()
    for number in range(MOST_SESSIONS + 3):
        name = f"person-{number}"
        one = Session(
            name=name, role="viewer", method="oidc", begun=begun, ends=begun + timedelta(hours=1), tag="x"
        )
        sessions.take(number, session_key(f"{number}"), encode(one))
    assert len(sessions.every()) == MOST_SESSIONS
    assert sessions.of("person-0") == []
    assert len(sessions._of_person) == MOST_SESSIONS
    sessions.take(0, b"session:x", b"[]")
    sessions.take(0, None, None)
    assert sessions.unreadable == 2


@pytest.mark.parametrize("session", ["30d", "31d"])
def test_a_session_may_not_outlive_the_record_of_its_end(session):
    settings = read_settings({"people": PEOPLE, "session": session})
    if session == "30d":
        refuse_forgotten_sessions(load(), settings)
        return
    with pytest.raises(WrongUse, match=r"longer than retention\.sessions"):
        refuse_forgotten_sessions(load(), settings)


# Log and metric.


def recorded_log():
    """Every line of log-ins from now on, without a limit."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("pivotwatch.web.login_log")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    return lines


@served(people=PEOPLE, proxy=ELSEWHERE)
async def test_log_ins_are_logged_and_counted(site):
    told = recorded_log()
    await site.log_in(KIM)
    await site.log_in("nonsense\nlogin outcome=accepted")
    for token in (LEE, LEE, "guess"):
        await site.get("/api/v1/incidents", headers=bearer(token))
    await site.post("/logout", data={"form_token": await site.form_token("/")})
    assert told == [
        'login outcome=accepted method=token name="kim" address=127.0.0.1',
        'login outcome=refused method=token name="" address=127.0.0.1 reason="unknown token"',
        'login outcome=accepted method=bearer name="lee" address=127.0.0.1',
        'login outcome=refused method=bearer name="" address=127.0.0.1 reason="unknown token"',
        'logout scope=one name="kim" by="kim" address=127.0.0.1',
    ]
    metrics = await (await site.get("/metrics")).text()
    for line in ("accepted", "token", 1), ("refused", "token", 1), ("accepted", "bearer", 1):
        expected = 'pivotwatch_web_logins_total{{method="{1}",outcome="{0}"}} {2}.0'.format(*line)
        assert expected in metrics


def test_refused_log_ins_do_not_fill_the_log():
    limit, lines = RateLimitedLog(), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    handler.addFilter(limit)
    logger = logging.getLogger("pivotwatch.web.login_log")
    logger.addHandler(handler)
    try:
        log = LoginLog()
        for number in range(1000):
            log.refused("token", f"192.0.2.{number % 250}", "unknown token")
    finally:
        logger.removeHandler(handler)
    assert 1 <= len(lines) <= 3


# Forms.


@served(people=PEOPLE)
async def test_a_form_of_another_site_or_session_is_refused(site):
    number = site.put_alert()
    path = f"/incidents/{number}/decisions"
    await site.log_in(LEE)
    foreign = await site.form_token("/")
    site.client.session.cookie_jar.clear()
    await site.log_in(KIM)
    own = await site.form_token(f"/incidents/{number}")
    form = {"verdict": "benign"}
    for token in (None, "", "x", foreign):
        given = form if token is None else form | {"form_token": token}
        assert (await site.post(path, data=given)).status == 403
        assert (await site.post("/api/v1" + path, json=given)).status == 403
    for where in ("cross-site", "same-site"):
        answer = await site.post(path, data=form | {"form_token": own}, headers={"Sec-Fetch-Site": where})
        assert answer.status == 403
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        answer = await site.post(path, data=form | {"form_token": own}, headers={"Origin": origin})
        assert answer.status == 403
    assert site.broker.sent == []
    ours = {"Origin": str(site.client.make_url("/")).rstrip("/")}
    assert (await site.post(path, data=form | {"form_token": own}, headers=ours)).status == 303
    rewritten = {
        "Origin": "https://page.example",
        "Sec-Fetch-Site": "same-origin",
    }
    answer = await site.post(path, data=form | {"form_token": own}, headers=rewritten)
    assert answer.status == 303
    assert (await site.post("/api/v1" + path, json=form, headers={"X-Form-Token": own})).status == 200
    assert len(site.broker.sent) == 3


@served(people=PEOPLE)
async def test_another_site_cannot_log_a_visitor_in(site):
    assert (await site.post("/login", data={"token": KIM})).status == 403
    token = await site.form_token("/login")
    site.client.session.cookie_jar.clear()
    assert (await site.post("/login", data={"token": KIM, "form_token": token})).status == 403


@served(people=PEOPLE)
async def test_a_viewer_cannot_decide(site):
    number = site.put_alert()
    path = f"/incidents/{number}/decisions"
    assert (await site.post("/api/v1" + path, json={"verdict": "benign"}, headers=bearer(LEE))).status == 403
    await site.log_in(LEE)
    token = await site.form_token("/")
    assert (await site.post(path, data={"verdict": "benign", "form_token": token})).status == 403
    assert site.broker.sent == []


@served(people=PEOPLE)
async def test_a_long_body_is_refused(site):
    answer = await site.post("/login", data={"token": "x" * 200_000})
    assert answer.status == 413


@served(people=PEOPLE)
async def test_a_body_that_is_not_a_form_is_refused(site):
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    strange = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    other = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert (await site.post("/login", data=b"--y", headers=boundary)).status == 415
    assert (await site.post("/login", data=b"a=b&c", headers=strange)).status == 400
    assert (await site.post("/login", data=b"token=\xff", headers=other)).status == 400


# A proxy that authenticates people.


@served(proxy=PROXY)
async def test_the_proxy_header_names_the_user(site):
    number = site.put_alert()
    path = f"/incidents/{number}"
    assert (await site.get("/")).status == 303
    assert (await site.get("/login")).status == 401
    assert (
        "Only operators can decide"
        in await (await site.get(path, headers={"X-Forwarded-User": "lee"})).text()
    )
    for headers in (
        {"X-Forwarded-User": "kim"},
        {"X-Forwarded-User": "mia", "X-Groups": "dev, soc"},
    ):
        token = await site.form_token(path, headers=headers)
        form = {"verdict": "confirmed", "form_token": token}
        assert (await site.post(path + "/decisions", data=form)).status == 401
        assert (await site.post(path + "/decisions", data=form, headers=headers)).status == 303
    assert [b'"by":"kim"' in one.value for one in site.broker.sent] == [True, False]
    other = {
        "verdict": "confirmed",
        "form_token": await site.form_token(path, headers={"X-Forwarded-User": "kim"}),
    }
    answer = await site.post(
        path + "/decisions", data=other, headers={"X-Forwarded-User": "mia", "X-Groups": "soc"}
    )
    assert answer.status == 403


@served(proxy=PROXY)
async def test_an_invalid_user_name_is_refused(site):
    for name in ("", " ", "a" * 300):
        assert (await site.get("/", headers={"X-Forwarded-User": name})).status == 403
    twice = [("X-Forwarded-User", "lee"), ("X-Forwarded-User", "kim")]
    assert (await site.get("/", headers=twice)).status == 403


@served(proxy=ELSEWHERE, people=PEOPLE)
async def test_the_proxy_header_is_ignored_from_other_addresses(site):
    assert (await site.get("/", headers={"X-Forwarded-User": "kim"})).status == 303
    assert (await site.get("/api/v1/incidents", headers={"X-Forwarded-User": "kim"})).status == 401


def form_of_a_proxy_elsewhere(monkeypatch, **web):
    """The answer of one worker to a form that another worker created."""
    for name, token in (TOKENS | {"FORM_KEY": "one-key-for-all-workers"}).items():
        monkeypatch.setenv(name, token)
    kim = {"X-Forwarded-User": "kim"}

    async def inside():
        async with site(proxy=PROXY, **web) as one, site(proxy=PROXY, **web) as other:
            number = one.put_alert()
            other.put_alert()
            token = await one.form_token(f"/incidents/{number}", headers=kim)
            form = {"verdict": "confirmed", "form_token": token}
            return (await other.post(f"/incidents/{number}/decisions", data=form, headers=kim)).status

    return asyncio.run(inside())


def test_workers_behind_a_proxy_accept_each_others_forms_with_a_shared_key(monkeypatch):
    assert form_of_a_proxy_elsewhere(monkeypatch, form_key_env="FORM_KEY") == 303
    assert form_of_a_proxy_elsewhere(monkeypatch, people=PEOPLE) == 303
    assert form_of_a_proxy_elsewhere(monkeypatch) == 403


@served(people=PEOPLE)
async def test_forged_forwarded_addresses_do_not_avoid_the_limit(site):
    def guess(number):
        told = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        return site.get("/api/v1/incidents", headers=bearer(f"guess {number}") | told)

    answers = await asyncio.gather(*(guess(number) for number in range(30)))
    assert sorted(answer.status for answer in answers) == [401] * 10 + [429] * 20


# Response headers.


@served(people=PEOPLE)
async def test_every_answer_has_the_security_headers(site):
    number = site.put_alert()
    await site.log_in(KIM)
    answers = [
        await site.get(path) for path in (*PAGES, "/login", "/static/page.js", "/no", "/api/no", "/metrics")
    ]
    answers.append(await site.get(f"/incidents/{number}/../x"))
    answers.append(await site.post("/logout"))
    site.app.shell.task.reader.read_model.incidents[number].raw = None
    answers.append(await site.get(f"/api/v1/incidents/{number}"))
    assert answers[-1].status == 500
    events = await site.get("/api/v1/events")
    answers.append(events)
    site.client.session.cookie_jar.clear()
    answers += [await site.get("/"), await site.get("/api/v1/releases")]
    assert {answer.status for answer in answers} == {200, 303, 401, 403, 404, 500}
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.getall(name) == [value], (answer.url, name)
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in HEADERS["Content-Security-Policy"]
    events.close()


@served(people=PEOPLE)
async def test_errors_do_not_show_internals(site):
    number = site.put_alert()
    site.app.shell.task.reader.read_model.incidents[number].raw = None
    answer = await site.get(f"/api/v1/incidents/{number}", headers=bearer(KIM))
    assert await answer.json() == {"error": "internal error; the log of this worker has the cause"}


@served(open_as="operator")
async def test_foreign_text_is_escaped_and_nothing_is_inline(site):
    site.put_status(3)
    number = site.put_alert(
        entity={"kind": "network", "id": HOSTILE}, model=HOSTILE, members=[HOSTILE], reasons=[HOSTILE]
    )
    for path in ("/", "/incidents", f"/incidents/{number}"):
        page = await (await site.get(path)).text()
        assert "<script>alert" not in page
        assert len(re.findall(r"<script\b", page)) == 1
        assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
        assert "<style" not in page
        assert not re.search(r'(src|href)="(?!/|#)', page)


@served(people=PEOPLE)
async def test_pages_of_faust_are_off(site):
    for path in ("/table", "/table/state", "/router", "/router/state/k", "/graph", "/performance", "/stats"):
        assert (await site.get(path, headers=bearer(KIM))).status == 404


# Secrets.


def test_no_answer_and_no_log_contains_a_token(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    for name, token in TOKENS.items():
        monkeypatch.setenv(name, token)
    shown = []

    async def inside():
        async with site(people=PEOPLE) as made:
            made.put_alert()
            for token in (KIM, "a wrong token of somebody"):
                shown.append(await (await made.log_in(token)).text())
                shown.append(await (await made.get("/api/v1/incidents", headers=bearer(token))).text())
            shown.append(await (await made.get("/")).text())
            shown.append(repr(made.app.shell.config))

    asyncio.run(inside())
    told = caplog.text + "".join(shown)
    assert 'outcome=refused method=bearer name="" address=127.0.0.1' in caplog.text
    assert KIM not in told
    assert LEE not in told
    assert "a wrong token of somebody" not in told


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (
            {"people": [{"name": "kim", "token_file": "/x", "token_env": "Y"}]},
            "token_env (the name of a variable)",
        ),
        ({"people": [{"name": "kim", "token": "hunter2-hunter2-hunter2"}]}, "people.0.token: no such key"),
        ({"people": [{"name": "kim", "token_env": "PIVOTWATCH_KIM"}]}, "without PIVOTWATCH_"),
        ({"people": [{"name": "k", "token_file": "/x"}] * 2}, "a different name for each"),
        ({"proxy": {"header": "X"}}, "proxy.addresses: required"),
        ({"proxy": {"addresses": []}}, "proxy.addresses"),
        ({"proxy": {"addresses": ["0.0.0.0/0"]}}, "anybody could set the header"),
        ({"proxy": {"addresses": ["10.0.0.5", "::/0"]}}, "anybody could set the header"),
        ({"form_key_env": "A", "form_key_file": "/x"}, "one of form_key_env and form_key_file"),
        ({"tls_certfile": "/x"}, "tls_certfile and tls_keyfile"),
    ],
)
def test_messages_about_mistakes_do_not_repeat_values(table, told):
    with pytest.raises(WrongUse) as refused:
        read_settings(table)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_short_token_is_refused(monkeypatch):
    monkeypatch.setenv("KIM_TOKEN", "short")

    async def inside():
        async with site(people=PEOPLE[:1]):
            pass

    with pytest.raises(WrongUse, match="at least 16 characters"):
        asyncio.run(inside())


def test_a_decision_waits_for_the_broker_until_a_deadline(monkeypatch):
    async def inside():
        async with site(open_as="operator") as made:
            number = made.put_alert()
            made.broker.answers = False
            token = await made.form_token(f"/incidents/{number}")
            form = {"verdict": "benign", "form_token": token}
            answer = await made.post(f"/incidents/{number}/decisions", data=form)
            assert answer.status == 503
            assert "did not confirm" in await answer.text()
            page = await (await made.get(f"/incidents/{number}?decided=0")).text()
            assert "Decision saved" not in page
            assert "No decision yet" in page

    monkeypatch.setattr(
        decision_form.DecisionWriter.__init__,
        "__defaults__",
        (*decision_form.DecisionWriter.__init__.__defaults__[:-1], 0.05),
    )
    asyncio.run(inside())
