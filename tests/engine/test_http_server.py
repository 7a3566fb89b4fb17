"""Limits and deadlines of the HTTP server, with real sockets."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.engine.http.admission import RESERVE
from pivotwatch.engine.http.server import HttpServer
from tests.engine.http_rig import SHORT, application, request, run, serving, until, warnings

OPEN = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nthe beginning"


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder: Path = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key", folder / "cert"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=cert)


# Deadlines.


def test_a_client_that_sends_nothing_is_disconnected() -> None:
    async def play() -> None:
        async with serving(first_byte=SHORT) as made:
            assert await (await made.connect()).read() == ""
            await until(lambda: made.server.connections == 0)

    run(play)


def test_a_slow_header_gets_408() -> None:
    async def play() -> None:
        async with serving(header=SHORT) as made:
            client = await made.connect()
            client.send("GET / HTTP/1.1\r\n")
            answer = asyncio.create_task(client.read())
            while not answer.done():
                client.send("X-Never: ends\r\n")
                await asyncio.sleep(0.05)
            assert answer.result().startswith("HTTP/1.1 408 ")
            await until(lambda: made.server.connections == 0)

    run(play)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_body_gets_408(chunked: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with serving(body=SHORT) as made:
            client = await made.connect()
            length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 5000"
            client.send(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n\r\n")
            answer = asyncio.create_task(client.read())
            while not answer.done():
                client.send("1\r\nx\r\n" if chunked else "x")
                await asyncio.sleep(0.05)
            assert answer.result().startswith("HTTP/1.1 408 ")
            await until(lambda: made.server.connections == 0)

    run(play)
    assert warnings(caplog) == []


def test_a_client_refused_before_the_body_cannot_send_it() -> None:
    async def play() -> None:
        async with serving(body=SHORT) as made:
            client = await made.connect()
            client.send(OPEN.replace("POST / ", "POST /nowhere "))
            assert (await client.read()).startswith("HTTP/1.1 404 ")
            await until(lambda: made.server.connections == 0)

    run(play)


def test_a_client_that_does_not_read_the_answer_is_disconnected() -> None:
    async def play() -> None:
        async with serving(answer=SHORT) as made:
            client = await made.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send(request("/large"))
            await until(lambda: made.server.connections == 1)
            await until(lambda: made.server.connections == 0)

    run(play)


def test_a_slow_reader_gets_everything() -> None:
    async def play() -> None:
        async with serving(answer="2s") as made:
            client = await made.connect()
            client.send(request("/large", Connection="close"))
            got = 0
            while part := await client.reader.read(1_000_000):
                got += len(part)
                await asyncio.sleep(0.01)
            assert got > 20_000_000

    run(play)


def test_an_idle_connection_is_closed() -> None:
    async def play() -> None:
        async with serving(keep_alive=SHORT) as made:
            client = await made.connect()
            for _ in range(3):
                client.send(request("/"))
                assert await client.status() == 200
                await client.reader.readuntil(b"ok")
            assert await client.read() == ""
            await until(lambda: made.server.connections == 0)

    run(play)


def test_a_second_slow_header_has_a_deadline_too() -> None:
    async def play() -> None:
        async with serving(header=SHORT) as made:
            client = await made.connect()
            client.send(request("/"))
            await client.reader.readuntil(b"ok")
            client.send("GET / HTTP/1.1\r\n")
            assert (await client.read()).startswith("HTTP/1.1 408 ")

    run(play)


def test_a_request_in_progress_has_no_deadline_and_pipelining_works() -> None:
    async def play() -> None:
        deadlines = dict.fromkeys(("first_byte", "header", "body", "answer", "keep_alive"), SHORT)
        async with serving(**deadlines) as made:
            client = await made.connect()
            client.send(request("/busy") + request("/") + request("/", Connection="close"))
            asyncio.get_running_loop().call_later(1.0, made.release.set)
            assert (await client.read()).count("200 OK") == 3

    run(play)


def test_an_endless_header_is_refused_early() -> None:
    async def play() -> None:
        async with serving() as made:
            client = await made.connect()
            client.send("GET / HTTP/1.1\r\n")
            for number in range(100):
                client.send(f"X-{number}: {'x' * 1000}\r\n")
            assert (await client.read()).startswith("HTTP/1.1 431 ")
            await until(lambda: made.server.connections == 0)

    run(play)


def test_a_stalled_handshake_is_closed(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def play() -> None:
        async with serving(tls=tls, first_byte="2s") as made:
            assert await made.ask("/") == 200
            client = await made.connect(plain=True)
            assert await client.read() == ""
            client = await made.connect()  # After the handshake the same deadline goes on.
            assert await client.read() == ""
            await until(lambda: made.server.connections == 0)

    run(play)


def test_bytes_that_are_no_handshake_are_closed_with_one_log_line(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        async with serving(tls=tls) as made:
            client = await made.connect(plain=True)
            client.send(request("/"))
            await client.read()
            await until(lambda: made.server.connections == 0)
            assert await made.ask("/") == 200

    run(play)
    [line] = warnings(caplog)
    assert line.startswith("test: a TLS handshake failed: ")
    assert "\n" not in line


# Bounds.


@pytest.mark.parametrize("first", ["", "GET / HTTP/1.1\r\n", OPEN, request("/")])
@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
def test_idle_connections_do_not_block_other_clients(first: str, limit: str) -> None:
    async def play() -> None:
        async with serving(**{limit: 20}) as made:
            for _ in range(60):
                client = await made.connect()
                client.send(first)
            for _ in range(5):
                assert await made.ask("/") == 200
            assert made.server.connections <= 20

    run(play)


def test_handshakes_count_and_do_not_block_other_clients(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def play() -> None:
        async with serving(tls=tls, connections=20) as made:
            for _ in range(60):
                await made.connect(plain=True)
            assert made.server.connections <= 20
            assert await made.ask("/") == 200

    run(play)


def test_health_answers_while_all_connections_are_busy() -> None:
    async def play() -> None:
        async with serving(connections=16) as made:
            busy = [await made.connect() for _ in range(16)]
            for client in busy:
                client.send(request("/busy"))
            while await made.ask("/") != 503:
                await asyncio.sleep(0.01)
            idle = [await made.connect() for _ in range(2 * RESERVE)]
            assert await made.ask("/health") == 200
            assert await made.ask("/") == 503
            made.release.set()
            assert [await client.status() for client in busy] == [200] * 16
            assert idle
            for client in busy:
                client.close()
            await until(lambda: made.server.connections < 16)
            assert await made.ask("/") == 200

    run(play)


def test_health_answers_before_requests_that_take_long_to_compute() -> None:
    async def play() -> None:
        async with serving() as made:
            clients = [await made.connect() for _ in range(200)]
            for client in clients:
                client.send(request("/computing"))
            answers = [asyncio.create_task(client.status()) for client in clients]
            assert await made.ask("/health") == 200
            assert sum(answer.done() for answer in answers) < 100
            assert await asyncio.gather(*answers) == [200] * 200

    run(play)


def test_accepting_does_not_keep_the_loop_from_others() -> None:
    async def play() -> None:
        async with serving(connections_per_address=1000) as made:
            sockets = [socket.socket() for _ in range(200)]
            for one in sockets:
                one.connect(made.server.address)  # They wait to be accepted: the loop does not run meanwhile.
            rounds = 0
            while made.server.connections < 200:
                rounds += 1
                await asyncio.sleep(0)
            assert rounds >= 200
            for one in sockets:
                one.close()

    run(play)


def test_a_full_reserve_refuses_at_once() -> None:
    async def play() -> None:
        async with serving(connections=16) as made:
            server = made.server
            server._vital = ("/busy",)
            for _ in range(16 + RESERVE):
                client = await made.connect()
                client.send(request("/busy"))
            await until(
                lambda: server._admission._waiting_reserve == {} and server.connections == 16 + RESERVE
            )
            assert await (await made.connect()).status() == 503
            assert server._admission.refused == 1

    run(play)


def test_connections_end_when_the_server_does() -> None:
    async def play() -> None:
        async with serving() as made:
            client = await made.connect()
            client.send(request("/"))
            await client.reader.readuntil(b"ok")
            await made.server.stop()
            assert await client.read() == ""
            with pytest.raises(OSError):
                await made.connect()

    run(play)


def test_open_connections_do_not_delay_the_end() -> None:
    async def play() -> None:
        async with serving() as made:
            for first in ("", "GET / HT", OPEN, request("/")):
                client = await made.connect()
                client.send(first)
            await until(lambda: made.server.connections == 4)
            async with asyncio.timeout(2):
                await made.server.stop()
            await until(lambda: made.server.connections == 0)

    run(play)


def test_it_accepts_fewer_connections_with_a_low_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))

    async def play() -> None:
        async with serving(connections=1000) as made:
            assert made.server._admission._connections == (1024 - 256) // 2 - RESERVE

    run(play)
    assert "may open too few files" in caplog.text


def test_running_out_of_files_ends_no_connection_in_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        async with serving() as made:
            loop = asyncio.get_running_loop()
            accept, failures = loop.sock_accept, iter(range(3))

            async def out_of_files(sock: socket.socket) -> tuple[socket.socket, object]:
                if next(failures, None) is not None:
                    raise OSError(24, "Too many open files")
                return await accept(sock)

            held = await made.connect()
            assert await made.ask("/") == 200
            monkeypatch.setattr(loop, "sock_accept", out_of_files)
            assert await made.ask("/") == 200
            assert await made.ask("/") == 200
            assert await held.read() == "", "the one that waited longest made room"

    run(play)
    assert "Too many open files" in caplog.text


# What is logged.


def test_bytes_that_are_not_http_give_one_log_line_without_content(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with serving() as made:
            for sent in ("GET / HTTP/9.9 secret\r\n\r\n", "GET / HTTP/1.1\r\nsecret\r\n\r\n"):
                client = await made.connect()
                client.send(sent)
                assert (await client.read()).startswith("HTTP/1.0 400 ")

    run(play)
    for line in warnings(caplog):
        assert line.startswith("a client sent what is not HTTP: ")
        assert "\n" not in line
        assert "secret" not in line


def test_a_client_that_disconnects_gives_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with serving() as made:
            for first in ("", "GET / HT", OPEN, request("/large"), request("/busy")):
                client = await made.connect()
                client.send(first)
                await until(lambda: made.server.connections == 1)
                client.close()
                made.release.set()
                await until(lambda: made.server.connections == 0)

    run(play)
    assert warnings(caplog) == []


def test_an_error_of_the_server_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with serving() as made:
            assert await made.ask("/fault") == 500

    run(play)
    assert "a fault of ours" in "".join(warnings(caplog))


# Where it listens.


def test_a_taken_port_is_reported() -> None:
    async def play() -> None:
        async with serving() as made:
            second = HttpServer(
                application(asyncio.Event()), "web_port", *made.server.address, limits=HttpLimits()
            )
            with pytest.raises(OutOfReach, match=r"web_port: cannot listen on 127\.0\.0\.1:\d+: "):
                await second.start()

    run(play)
