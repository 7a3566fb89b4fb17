"""HTTP ingest: whoever has no Kafka posts. It is answered when the broker has everything.

=====  ==============================================================================================
200    all of it is counted (or was before: ``duplicates``)
400    the body is no JSON, or not packed as it says
401    no token and no signature, or a wrong one
404    no such source is served
413    the body is too long when unpacked, or has too many records
422    a record cannot be read: its position and why; nothing of the body is counted
429    too much waits for the broker: come again (``Retry-After``)
503    the broker does not answer: come again; what is on its way counts once, by its ``id``
=====  ==============================================================================================
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.ingest.decoder import Decoded, Decoder
from pivotwatch.ingest.health import Posts
from pivotwatch.ingest.http_auth import Guard, Refused
from pivotwatch.ingest.http_publisher import HttpPublisher
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.rejects import letter
from pivotwatch.ingest.request_dedup import Dedup, Sent
from pivotwatch.ingest.settings import Decoders, HttpSettings, IngestSettings

logger = logging.getLogger(__name__)

RETRY_AFTER = "1"
MAX_TOLD = 20
PROTOBUF = "application/x-protobuf"


class Declined(Exception):
    """A body that is not taken, and the answer that says why."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__()
        self.answer = answer


class HttpIngest:
    """The server.

    Parameters
    ----------
    config, settings
        The configuration, and its table ``[ingest]``.
    http_publisher
        Sends to Kafka.
    metrics
        Where posts are counted.

    Attributes
    ----------
    port
        Where it listens, once started.
    """

    port: int

    def __init__(
        self,
        config: Config,
        settings: IngestSettings,
        http_publisher: HttpPublisher,
        metrics: IngestMetrics | None = None,
    ) -> None:
        assert settings.http is not None
        self._http: HttpSettings = settings.http
        self._redaction = settings.dead_letters
        decoders = Decoders(settings)
        self._decoders = {source: decoders.of(source) for source in self._http.sources}
        self._guard = Guard(self._http.token(), self._http.hmac_key())
        self._dedup = Dedup(self._http.dedup_window.total_seconds())
        self._timeout = self._http.broker_timeout.total_seconds()
        self._poster = http_publisher
        self._metrics = metrics or IngestMetrics(Posts())
        self._metrics.waiting.set_function(lambda: http_publisher.pending + self._reading)
        self._reading = 0
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_post("/v1/events", self._events)
        app.router.add_post("/v1/events/{source}", self._events)
        app.router.add_post("/v1/traces", self._traces)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        OutOfReach
            When the port is taken.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._http.host, self._http.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise OutOfReach(f"ingest.http: port {self._http.port}: {error.strerror}") from None
        self.port = self._runner.addresses[0][1]
        logger.info("listening on http://%s:%d", self._http.host, self.port)

    async def stop(self) -> None:
        """Answer what has come, take nothing more."""
        await self._runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        waiting = self._poster.silent > self._timeout
        return _answer(503 if waiting else 200, broker="silent" if waiting else "answers")

    async def _events(self, request: web.Request) -> web.Response:
        source = request.match_info.get("source") or request.query.get("source") or self._http.sources[0]
        decoder = self._decoders.get(source)
        if decoder is None:
            return _answer(404, error=f"no such source: ingest.http.sources has {', '.join(self._decoders)}")
        return await self._take(request, decoder)

    async def _traces(self, request: web.Request) -> web.Response:
        binary = request.content_type == PROTOBUF
        decoder = self._decoders.get("otlp_proto" if binary else "otlp_json")
        if decoder is None:
            return _answer(404, error="no such source: put otlp_proto or otlp_json into ingest.http.sources")
        answer = await self._take(request, decoder)
        if answer.status != 200:
            return answer
        # What OTLP calls a full success is an empty message.
        return web.Response(
            body=b"" if binary else b"{}", content_type=PROTOBUF if binary else "application/json"
        )

    async def _take(self, request: web.Request, decoder: Decoder) -> web.Response:
        with self._metrics.answers.time():
            answer = await self._judge(request, decoder)
        self._metrics.posts.labels(answer.status).inc()
        return answer

    async def _judge(self, request: web.Request, decoder: Decoder) -> web.Response:
        try:
            if not self._guard.signs:
                self._guard.check(request.headers, b"")
            body = await self._read(request)
            self._guard.check(request.headers, body)
        except Refused as refused:
            return _answer(401, {"WWW-Authenticate": "Bearer"}, error=str(refused))
        except Declined as declined:
            return declined.answer
        decoded = decoder.decode(body, most=self._http.max_events)
        if decoded.cut:
            return _answer(413, error=f"more than {self._http.max_events} records")
        if decoded.misread and self._http.on_bad == "refuse":
            return _refusal(decoded)
        return await self._send(decoder, decoded, len(body))

    async def _read(self, request: web.Request) -> bytes:
        """The body, unpacked; what all bodies hold together stays within ``max_pending`` while they come."""
        self._check_size(request.content_length or 0, at_first=True)
        body = bytearray()
        try:
            async for part in request.content.iter_any():
                body += part
                self._reading += len(part)
                self._check_size(len(body))
        except (web.RequestPayloadError, ContentEncodingError):
            request.content.feed_eof()  # There is nothing in it to wait for.
            answer = _answer(400, error="the body is not what Content-Encoding says")
            answer.force_close()
            raise Declined(answer) from None
        finally:
            self._reading -= len(body)
        return bytes(body)

    def _check_size(self, size: int, *, at_first: bool = False) -> None:
        if size > self._http.max_body:
            raise Declined(_answer(413, error=f"longer than {self._http.max_body} bytes"))
        if self._poster.silent > self._timeout:
            raise Declined(_answer(503, {"Retry-After": RETRY_AFTER}, error="the broker does not answer"))
        if self._poster.pending + self._reading + (size if at_first else 0) > self._http.max_pending:
            raise Declined(_answer(429, {"Retry-After": RETRY_AFTER}, error="too much waits for the broker"))

    async def _send(self, decoder: Decoder, decoded: Decoded, size: int) -> web.Response:
        name = decoder.mapping.name
        sent: Sent = asyncio.get_running_loop().create_future()
        events = [event for _, event in decoded.events]
        new, waiting = self._dedup.claim([f"{name} {event['id']}" for event in events], sent)
        fresh = [event for event, is_new in zip(events, new, strict=True) if is_new]
        self._metrics.read(name, events=len(decoded.events), skipped=decoded.skipped)
        letters = [letter(bad, self._redaction, name) for bad in decoded.misread]
        if fresh or letters:
            self._metrics.sent(letters)
            self._poster.post(fresh, letters, size, sent)
            waiting.add(sent)
        else:
            sent.cancel()
        if waiting:
            done, late = await asyncio.wait(waiting, timeout=self._timeout)
            if late or any(one.cancelled() or one.exception() for one in done):
                return _answer(503, {"Retry-After": RETRY_AFTER}, error="the broker does not answer")
        return _answer(
            200,
            accepted=len(fresh),
            duplicates=len(events) - len(fresh),
            skipped=decoded.skipped,
            dead_letters=decoded.bad,
        )


def _refusal(decoded: Decoded) -> web.Response:
    bad = [{"position": one.position, "problem": str(one.error)} for one in decoded.misread]
    nothing = not decoded.events and all(one.document is None for one in decoded.misread)
    return _answer(
        400 if nothing else 422,
        error=f"{decoded.bad} of the records cannot be read; nothing was counted",
        bad=bad[:MAX_TOLD],
    )


def _answer(status: int, headers: dict[str, str] | None = None, **content: Any) -> web.Response:
    return web.Response(
        status=status, headers=headers, body=orjson.dumps(content), content_type="application/json"
    )


async def serve(
    config: Config, settings: IngestSettings, partitions: int, metrics: IngestMetrics | None = None
) -> tuple[HttpIngest, HttpPublisher]:
    """Start server and sender."""
    http_publisher = HttpPublisher(config, partitions)
    server = HttpIngest(config, settings, http_publisher, metrics)
    await http_publisher.start()
    try:
        await server.start()
    except OutOfReach:
        await http_publisher.stop()
        raise
    return server, http_publisher
