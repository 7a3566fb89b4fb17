"""Networks (explicit, by autonomous system, by prefix), and pseudonyms."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.ingest.network_lookup import NetworkLookup, client_of, parse_client
from pivotwatch.ingest.settings import Decoders, read_settings


@pytest.fixture
def database(tmp_path: Path) -> Path:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-ASN")
    for prefix, number in (("203.0.113.0/24", 64500), ("2001:db8::/32", 64501)):
        writer.insert_network(
            IPSet([prefix]),
            {"autonomous_system_number": number, "autonomous_system_organization": "Example"},
        )
    path = tmp_path / "asn.mmdb"
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("203.0.113.7", "AS64500"),
        ("::ffff:203.0.113.7", "AS64500"),
        ("64:ff9b::203.0.113.7", "AS64500"),
        ("[2001:db8:7::1]:443", "AS64501"),
        ("8.8.8.8:53", "8.8.8.0/24"),
        ("2a00:1450:4001::1%eth0", "2a00:1450:4001::/48"),
        ("192.168.1.38", None),
        ("100.64.0.1", None),
        ("fd00::1", None),
        ("::1", None),
        ("nowhere", None),
        ("", None),
    ],
)
def test_the_network_of_an_address(database: Path, ip: str, expected: str | None) -> None:
    assert NetworkLookup(database).find(ip, None) == expected


def test_an_invalid_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="No such file"):
        NetworkLookup(tmp_path / "missing.mmdb")
    wrong = tmp_path / "wrong.mmdb"
    wrong.write_text("no database")
    with pytest.raises(WrongUse, match="not a database"):
        NetworkLookup(wrong)


@pytest.mark.parametrize(
    ("hops", "expected"),
    [(0, "10.0.0.1"), (1, "10.0.0.9"), (2, "203.0.113.7"), (3, "1.1.1.1"), (9, "1.1.1.1")],
)
def test_forwarded_addresses_are_read_from_the_right(hops: int, expected: str) -> None:
    assert client_of("10.0.0.1", "1.1.1.1, 203.0.113.7 ,10.0.0.9", hops) == expected


def test_unusual_forms_of_addresses() -> None:
    assert str(parse_client('"[2001:db8::1]"')) == "2001:db8::1"
    assert str(parse_client("fe80::1%eth0")) == "fe80::1"
    assert parse_client("_hidden") is None
    assert client_of(None, None, 1) is None
    assert client_of(" , ", None, 0) is None


EVENT = {"id": "r", "ts": 2000, "account": "jane@example.com", "model": "m", "ip": "203.0.113.7"}


def test_the_network_is_found_before_the_pseudonym_is_made(
    database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OUR_KEY", "a secret of the tests")
    second = tmp_path / "second"
    second.write_text("another secret of them\n")
    decoder = Decoders(
        read_settings(
            {
                "asn_database": database,
                "pseudonyms": {
                    "fields": ["account", "network", "links"],
                    "keys": [
                        {"id": "k1", "secret_env": "OUR_KEY"},
                        {"id": "k2", "secret_file": second, "since": "2026-01-01T00:00:00Z"},
                    ],
                },
            }
        )
    ).of("native")
    document = {**EVENT, "links": {"payment": "pay-7"}}
    [(_, old)] = decoder.decode(orjson.dumps(document)).events
    [(_, new)] = decoder.decode(orjson.dumps({**document, "ts": 1770314400000})).events
    for field in ("account", "network"):
        assert old[field].startswith("k1:")
        assert new[field].startswith("k2:")
    assert old["links"]["payment"].startswith("k1:")
    assert "example" not in repr([old, new])
    again = decoder.decode(orjson.dumps({**document, "ip": "203.0.113.99"})).events[0][1]
    assert again["network"] == old["network"], "one network, one pseudonym"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([], "expected at least one entry in keys"),
        ([{"id": "k1", "secret": "OPEN-SECRET-IN-THE-FILE"}], "no such key"),
        ([{"id": "k1"}], "expected one of secret_env"),
        ([{"id": "k1", "secret_env": "NOT_SET"}], "environment variable NOT_SET must hold a secret"),
        ([{"id": "k1", "secret_file": "/nowhere/key"}], "No such file"),
        ([{"id": "k1", "secret_env": "A", "since": "2026-01-01"}], "remove since from the first key"),
        ([{"id": "k1", "secret_env": "A"}, {"id": "k2", "secret_env": "B"}], "a different since"),
        ([{"id": "k1", "secret_env": "A"}, {"id": "k2", "secret_env": "A", "since": 5}], "the same secret"),
        ([{"id": "k 1", "secret_env": "A"}], "keys.0.id"),
    ],
)
def test_invalid_keys_are_refused(
    keys: list[dict[str, object]], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A", "a secret of the tests")
    monkeypatch.setenv("B", "another secret of them")
    with pytest.raises(WrongUse, match=told) as caught:
        Decoders(read_settings({"pseudonyms": {"keys": keys}}))
    assert "OPEN-SECRET" not in str(caught.value)


def test_a_key_never_shows_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "a secret of the tests")
    decoders = Decoders(read_settings({"pseudonyms": {"keys": [{"id": "k1", "secret_env": "A"}]}}))
    assert decoders.pseudonyms is not None
    assert "secret" not in repr(decoders.pseudonyms.keys)
