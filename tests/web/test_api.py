"""The JSON interface and the server-sent events."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from pivotwatch.web import api
from tests.base.hostile import HOSTILE, hidden_in
from tests.web.site import KIM, LEE, PEOPLE, Site, bearer, served, site

DECIDED = {"verdict": "confirmed", "by": "kim", "note": "two keys"}


async def events(answer, count):
    """The next ``count`` events as (name, id, data)."""
    found, fields = [], {}
    while len(found) < count:
        line = (await asyncio.wait_for(answer.content.readline(), 10)).decode().rstrip("\r\n")
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            found.append((fields.get("event"), fields.get("id"), orjson.loads(fields["data"])))
            fields = {}
    return found


@served()
async def test_incidents_are_listed_by_severity(site: Site):
    site.put_alert(1, severity="medium")
    site.put_alert(2, severity="high")
    site.put_alert(3, severity="critical", state="resolved", transition="quiet")
    listed = await (await site.get("/api/v1/incidents")).json()
    assert [one["severity"] for one in listed["incidents"]] == ["high", "medium"]
    assert (await (await site.get("/api/v1/incidents?state=all&limit=1&offset=1")).json())["total"] == 3
    grave = await (await site.get("/api/v1/incidents?min_severity=high")).json()
    assert [one["alert_id"] for one in grave["incidents"]] == [f"{2:016x}"]
    ended = await (await site.get("/api/v1/incidents?state=ended")).json()
    assert ended["incidents"][0]["state"] == "resolved"


@served()
async def test_invalid_requests_get_an_error_in_json(site: Site):
    site.put_alert()
    for path, status in (
        ("incidents?state=x", 400),
        ("incidents?limit=0", 400),
        ("incidents?limit=-1", 400),
        ("incidents?limit=1001", 400),
        ("incidents?offset=x", 400),
        ("incidents?min_severity=x", 400),
        ("incidents/ffff", 404),
        ("nothing", 404),
    ):
        answer = await site.get(f"/api/v1/{path}")
        assert (answer.status, answer.content_type) == (status, "application/json")
        assert "error" in await answer.json()
    assert (await site.get("/incidents?page=x")).status == 400
    assert (await site.get("/incidents?page=7")).status == 200
    assert (await site.post("/api/v1/releases", json={})).status in (404, 405)


@served()
async def test_one_incident_with_its_revisions(site: Site):
    number = site.put_alert(revision=1, state="open", transition="opened")
    site.put_alert(revision=2)
    found = await (await site.get(f"/api/v1/incidents/{number}")).json()
    assert found["incident"]["members_total"] == 412
    assert [one["transition"] for one in found["revisions"]] == ["opened", "members-doubled"]
    assert found["decisions"] == []
    assert found["history"] == []


@served()
async def test_releases_with_their_adoption(site: Site):
    assert (await (await site.get("/api/v1/releases")).json())["releases"] == []
    for hour in (3, 4):
        site.put_status(hour)
    found = await (await site.get("/api/v1/releases")).json()
    assert found["scored_through"] == "2026-02-05T05:00:00Z"
    (release,) = found["releases"]
    assert (release["model"], release["learning"]) == ("m-2", False)
    assert [point["first_uses"] for point in release["adoption"]] == [3, 4]


@served(people=PEOPLE)
async def test_a_program_decides(site: Site):
    number = site.put_alert()
    path = f"/api/v1/incidents/{number}/decisions"
    answer = await site.post(path, json={"verdict": "confirmed", "note": "two keys"}, headers=bearer(KIM))
    assert answer.status == 200
    (decision,) = (await answer.json())["decisions"]
    assert DECIDED.items() <= decision.items()
    (sent,) = site.broker.sent
    assert sent.key == number.encode()
    value = orjson.loads(sent.value)
    assert value.pop("at").endswith("Z")
    assert value == DECIDED | {"alert_id": number}
    taken_back = await site.post(path, json={"verdict": "none"}, headers=bearer(KIM))
    assert (await taken_back.json())["decisions"][0]["verdict"] is None
    assert site.broker.sent[1].value is None
    assert dict(site.broker.sent[1].headers)["pivotwatch.by"] == b"kim"
    history = (await (await site.get(f"/api/v1/incidents/{number}", headers=bearer(KIM))).json())["history"]
    assert [(one["verdict"], (one["ended_by"] or {}).get("by")) for one in history] == [
        (None, None),
        ("confirmed", "kim"),
    ]
    every = await (await site.get("/api/v1/decisions", headers=bearer(LEE))).json()
    assert every == {"total": 2, "offset": 0, "decisions": history}
    none = await (await site.get("/api/v1/decisions?about=network:AS1", headers=bearer(LEE))).json()
    assert none["total"] == 0
    assert (await site.get("/api/v1/decisions?limit=0", headers=bearer(LEE))).status == 400
    page = await (await site.get(f"/incidents/{number}", headers=bearer(LEE))).text()
    assert ">History<" in page


@served(people=PEOPLE)
async def test_an_organisation_is_verified_by_its_group(site: Site):
    number = site.put_alert()
    path = f"/api/v1/incidents/{number}/decisions"
    for fields, key in (
        ({"verdict": "verified"}, b"network:AS64500"),
        ({"verdict": "verified", "entity": "payment:pay-77"}, b"payment:pay-77"),
    ):
        assert (await site.post(path, json=fields, headers=bearer(KIM))).status == 200
        assert site.broker.sent[-1].key == key
        entity = orjson.loads(site.broker.sent[-1].value)["entity"]
        assert f"{entity['kind']}:{entity['id']}".encode() == key


@served(people=PEOPLE)
async def test_an_invalid_decision_is_refused(site: Site):
    path = f"/api/v1/incidents/{site.put_alert()}/decisions"
    for fields in (
        {},
        {"verdict": "guilty"},
        {"verdict": ["benign"]},
        {"verdict": "benign", "entity": "network:AS1"},
        {"verdict": "benign", "entity": {"kind": "network"}},
        {"verdict": "benign", "note": 7},
        {"verdict": "benign", "note": "x" * 501},
        [],
    ):
        answer = await site.post(path, json=fields, headers=bearer(KIM))
        assert answer.status == 400, fields
    assert (await site.post(path, data=b"{", headers=bearer(KIM))).status == 400
    assert site.broker.sent == []


# Events.


@served()
async def test_a_client_that_reconnects_gets_missed_and_new_events(site: Site):
    for number in range(3):
        site.put_alert(number)
    async with site.client.get("/api/v1/events?since=") as answer:
        assert answer.content_type == "text/event-stream"
        seen = await events(answer, 4)
    assert [name for name, *_ in seen] == ["hello", "alert", "alert", "alert"]
    second = seen[2][1]
    site.put_status(3)
    headers = {
        "Last-Event-ID": second
    }  # The header overrides the address: a browser keeps the address of its first request.
    async with site.client.get("/api/v1/events?since=", headers=headers) as answer:
        missed = await events(answer, 3)
        assert [(name, data.get("alert_id")) for name, _, data in missed[1:]] == [
            ("alert", f"{2:016x}"),
            ("status", None),
        ]
        site.put_alert(7)
        ((name, last, data),) = await events(answer, 1)
        assert (name, data["alert_id"], data["severity"]) == ("alert", f"{7:016x}", "critical")
    async with site.client.get("/api/v1/events", headers={"Last-Event-ID": last}) as answer:
        await events(answer, 1)
        site.put_alert(8)
        assert (await events(answer, 1))[0][2]["alert_id"] == f"{8:016x}"


@served()
async def test_without_a_cursor_events_start_now(site: Site):
    site.put_alert(1)
    async with site.client.get("/api/v1/events") as answer:
        await events(answer, 1)
        site.put_alert(2)
        assert (await events(answer, 1))[0][2]["alert_id"] == f"{2:016x}"


@served()
async def test_an_invalid_cursor_causes_a_reset(site: Site):
    site.put_alert(1)
    for since in ("nonsense", "a0-99", "a0-1;s"):
        async with site.client.get("/api/v1/events", headers={"Last-Event-ID": since}) as answer:
            (_, (name, where, _)) = await events(answer, 2)
            assert (name, where) == ("reset", "a0-0")


@served(ready=False)
async def test_events_wait_until_the_topics_are_read(site: Site):
    site.put_alert(1)
    assert (await site.get("/ready")).status == 503
    async with site.client.get("/api/v1/events?since=") as answer:
        assert [name for name, *_ in await events(answer, 1)] == ["hello"]
        page = asyncio.ensure_future(site.get("/"))
        await asyncio.sleep(0)
        assert not page.done()
        site.app.shell.task.reader.ready.set()
        assert [name for name, *_ in await events(answer, 1)] == ["alert"]
        assert "AS64500" in await (await page).text()
    assert (await site.get("/ready")).status == 200


@served()
async def test_a_stop_closes_all_event_streams(site: Site):
    async with site.client.get("/api/v1/events") as answer:
        await events(answer, 1)
        await site.app.shell.close()
        assert await asyncio.wait_for(answer.content.read(), 10) == b""


@served(streams=2)
async def test_the_number_of_event_streams_is_limited(site: Site):
    one, two = [await site.get("/api/v1/events") for _ in range(2)]
    refused = await site.get("/api/v1/events")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
    one.close()
    async with asyncio.timeout(10):
        while (again := await site.get("/api/v1/events")).status != 200:
            await asyncio.sleep(0.05)  # It is soon noticed that one has gone, although nothing happens.
    two.close()
    again.close()


@served(people=PEOPLE, streams_per_user=1)
async def test_one_user_leaves_room_for_others(site: Site):
    kim = await site.get("/api/v1/events", headers=bearer(KIM))
    assert (await site.get("/api/v1/events", headers=bearer(KIM))).status == 503
    lee = await site.get("/api/v1/events", headers=bearer(LEE))
    assert (kim.status, lee.status) == (200, 200)
    kim.close()
    lee.close()


@served()
async def test_no_other_site_follows_through_a_browser(site: Site):
    assert (await site.get("/api/v1/events", headers={"Sec-Fetch-Site": "cross-site"})).status == 403


def test_event_streams_end_after_a_while_and_a_client_misses_nothing(monkeypatch: pytest.MonkeyPatch):
    async def inside():
        async with site() as made:
            made.put_alert(1)
            monkeypatch.setattr(api, "STREAM_SECONDS", 0.5)
            async with made.client.get("/api/v1/events?since=") as answer:
                _, (_, last, _) = await events(answer, 2)
                await asyncio.wait_for(answer.content.read(), 10)
            monkeypatch.undo()
            made.put_alert(2)
            async with made.client.get("/api/v1/events", headers={"Last-Event-ID": last}) as answer:
                assert (await events(answer, 2))[1][2]["alert_id"] == f"{2:016x}"

    asyncio.run(inside())


def test_a_client_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api, "STREAM_SECONDS", 0.5)

    async def inside():
        async with site() as made:
            server = made.client.server
            _, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
            writer.write(b"GET /api/v1/events?since= HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            shell = made.app.shell
            for number in range(20_000):
                shell.task.reader.event_stream.add(("alerts", 0), number, "alert", "x" * 2_000)
            async with asyncio.timeout(30):
                while not server.handler.connections:
                    await asyncio.sleep(0.01)
                while server.handler.connections:
                    await asyncio.sleep(0.01)
            writer.close()

    asyncio.run(inside())


@served(open_as="operator")
async def test_hostile_names_are_visible_on_every_page_and_in_every_answer(site: Site):
    groups = [{"kind": "network", "id": HOSTILE}, {"kind": "payment", "id": "a\nb\u202e"}]
    changes = {
        "entity": groups[0],
        "groups": groups,
        "model": HOSTILE,
        "members": [HOSTILE],
        "reasons": [HOSTILE] * 4,
    }
    number = site.put_alert(1, transition=HOSTILE, **changes)
    site.put_alert(2, **changes | {"entity": {"kind": "account", "id": HOSTILE}})
    site.put_status(4)
    note = {"verdict": "verified", "note": "one\r\ntwo\u202e", "entity": "payment:a\\nb\\u202e"}
    token = await site.form_token(f"/incidents/{number}")
    saved = await site.post(f"/incidents/{number}/decisions", data=note | {"form_token": token})
    assert saved.status == 303, await saved.text()
    assert orjson.loads(site.broker.sent[0].value)["entity"] == groups[1]
    assert hidden_in(site.broker.sent[0].value.decode()) == []
    for path in ("/", "/incidents", "/incidents?kind=all&state=all", f"/incidents/{number}"):
        html = await (await site.get(path)).text()
        assert [line for line in html.split("\n") if hidden_in(line)] == [], path
        assert r"\u202e" in html
        assert "<script>" not in html
    assert "one\ntwo" in html
    for path in ("incidents?state=all", f"incidents/{number}", "releases"):
        answer = await (await site.get(f"/api/v1/{path}")).text()
        assert hidden_in(answer) == [], path
    found = await (await site.get(f"/api/v1/incidents/{number}")).json()
    assert found["incident"]["model"] == HOSTILE
    async with site.client.get("/api/v1/events?since=") as stream:
        for _, _, data in await events(stream, 1):
            assert [text for text in map(str, data.values()) if hidden_in(text)] == []
