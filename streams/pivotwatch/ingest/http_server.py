"""The HTTP server of the role ``ingest``, for clients without Kafka.

The server answers a request when Kafka has acknowledged all of its events:

=====  ==============================================================================================
200    all events are counted, or were counted before (``duplicates``)
400    the body is not JSON, or its content encoding is not the one of the header
401    the token or the signature is missing or wrong
403    a browser sent the request for another site
404    the server does not serve this source
413    the decompressed body is too long, or it has too many records
415    the server does not read the content encoding; for ``/v1/traces`` also the content type
422    a record cannot be counted; the answer holds its position and the reason; no event is counted
429    too many bytes wait for the broker, or the client failed too often to authenticate; it should retry
503    the broker does not answer; the client should retry; equal ids make each event count once
=====  ==============================================================================================
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter

import orjson
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from pivotwatch.base.addresses import is_loopback
from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.engine.http.browser_origin import has_foreign_origin, has_foreign_site, named_host
from pivotwatch.engine.http.failed_attempts import FailedAttempts
from pivotwatch.engine.http.server import HttpServer
from pivotwatch.ingest.decoded import Decoded
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.http_answers import answer, bad_documents, retry
from pivotwatch.ingest.http_auth import Authenticator, Unauthorized, WrongSecret
from pivotwatch.ingest.http_publisher import HttpPublisher, Request
from pivotwatch.ingest.incoming_bodies import IncomingBodies
from pivotwatch.ingest.metrics import GROUP_ACCOUNTS, IngestMetrics
from pivotwatch.ingest.otlp import partial_success
from pivotwatch.ingest.rejects import dead_letter
from pivotwatch.ingest.request_dedup import Acknowledgement, RequestDedup, http_identity
from pivotwatch.ingest.settings import Decoders, HttpSettings, IngestSettings
from pivotwatch_models.method import STATE

logger = logging.getLogger(__name__)

TOO_MANY = "too many records"
BESIDE_BAD = "beside a bad record"
FULL = "too many bytes wait for the broker"
PROTOBUF = "application/x-protobuf"
OTLP_TYPES = (PROTOBUF, "application/json")
ENCODINGS = ("", "identity", "gzip", "deflate")


class BodyRejected(Exception):
    """The server does not accept a body.

    Attributes
    ----------
    response
        The response that says why.
    """

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


class IngestServer:
    """The HTTP server.

    Parameters
    ----------
    settings
        The table ``[ingest]`` of the configuration.
    publisher
        Sends events to Kafka.
    metrics
        Counts requests.
    limits
        Limits of connections, and how long the server waits for clients.

    Attributes
    ----------
    port
        The port of the server, after `start`.
    """

    port: int

    def __init__(
        self,
        settings: IngestSettings,
        publisher: HttpPublisher,
        metrics: IngestMetrics,
        limits: HttpLimits | None = None,
    ) -> None:
        assert settings.http is not None
        self._http: HttpSettings = settings.http
        self._redaction = settings.dead_letters
        decoders = Decoders(settings)
        self._decoders = {source: decoders.of(source) for source in self._http.sources}
        self._authenticator = Authenticator(self._http.token(), self._http.hmac_key())
        self._dedup = RequestDedup(self._http.dedup_window.total_seconds())
        self._timeout = self._http.broker_timeout.total_seconds()
        self._publisher = publisher
        self._metrics = metrics
        self._metrics.waiting.set_function(lambda: publisher.pending + self._incoming.size)
        self._incoming = IncomingBodies()
        self._failures = FailedAttempts()
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_post("/v1/events", self._events)
        app.router.add_post("/v1/events/{source}", self._events)
        app.router.add_post("/v1/traces", self._traces)
        self._server = HttpServer(
            app, "ingest.http", self._http.host, self._http.port, limits or HttpLimits()
        )
        self._metrics.servers["ingest.http"] = self._server

    async def start(self) -> None:
        """Start to listen.

        Raises
        ------
        OutOfReach
            When the port is in use.
        """
        await self._server.start()
        self.port = self._server.address[1]
        logger.info("listening on http://%s:%d", self._http.host, self.port)

    async def stop(self) -> None:
        """Stop to listen, and answer the requests that have arrived."""
        await self._server.stop()

    async def _health(self, _: web.Request) -> web.Response:
        silent = self._publisher.silent_seconds > self._timeout
        return answer(503 if silent else 200, broker="silent" if silent else "answers")

    async def _events(self, request: web.Request) -> web.Response:
        source = request.match_info.get("source") or request.query.get("source") or self._http.sources[0]
        decoder = self._decoders.get(source)
        if decoder is None:
            known = ", ".join(self._decoders)
            return answer(
                404, error=f"the server does not serve this source: ingest.http.sources has {known}"
            )
        return await self._handle(request, decoder)

    async def _traces(self, request: web.Request) -> web.Response:
        binary = request.content_type == PROTOBUF
        decoder = self._decoders.get("otlp_proto" if binary else "otlp_json")
        if request.content_type not in OTLP_TYPES:
            return answer(415, error=f"expected one of these content types: {', '.join(OTLP_TYPES)}")
        if decoder is None:
            return answer(
                404, error="the server serves no OTLP: add otlp_proto or otlp_json to ingest.http.sources"
            )
        # A client of OTLP drops what is refused, so good spans count whatever the others are.
        response = await self._handle(request, decoder, refuses=False)
        if response.status != 200:
            return response
        assert isinstance(response.body, bytes)
        counts = orjson.loads(response.body)
        body = partial_success(counts["dead_letters"], binary=binary)
        return web.Response(body=body, content_type=PROTOBUF if binary else "application/json")

    async def _handle(
        self, request: web.Request, decoder: Decoder, *, refuses: bool | None = None
    ) -> web.Response:
        if refuses is None:
            refuses = self._http.on_bad == "refuse"
        with self._metrics.answers.time():
            response = await self._accept(request, decoder, refuses=refuses)
        self._metrics.posts.labels(response.status).inc()
        return response

    async def _accept(self, request: web.Request, decoder: Decoder, *, refuses: bool) -> web.Response:
        try:
            self._check_site(request)
            is_known = self._authenticator.check_headers(request.headers)
            body = await self._read(request, is_known=is_known)
            if not is_known:
                self._authenticator.check(request.headers, body)
        except Unauthorized as error:
            return await self._refuse(request, error)
        except BodyRejected as rejected:
            return rejected.response
        await self._server.pace.wait()  # A large body takes a while.
        # The record gets its time stamp after this, so counting refuses nothing of what is accepted here.
        latest = round(time.time() * 1000) + STATE.membership.future_ms
        decoded = decoder.decode(body, most=self._http.max_events, latest=latest)
        if decoded.truncated:
            self._metrics.count_bad(decoder.mapping.name, {TOO_MANY: self._http.max_events + 1}, "refused")
            return answer(413, error=f"more than {self._http.max_events} records")
        if decoded.bad and (refuses or (self._is_otlp(decoder) and decoded.holds_no_document)):
            self._metrics.count_bad(decoder.mapping.name, _refused(decoded), "refused")
            return bad_documents(decoded)
        return await self._send(decoder, decoded, len(body))

    @staticmethod
    def _is_otlp(decoder: Decoder) -> bool:
        return decoder.mapping.form != "json"

    def _check_site(self, request: web.Request) -> None:
        """Reject a request that another site makes a browser on this machine send."""
        if has_foreign_site(request.headers) or has_foreign_origin(request.headers):
            raise BodyRejected(answer(403, error="a browser sent the request for another site"))
        if not self._http.has_secret and not is_loopback(named_host(request.headers)):
            raise BodyRejected(answer(403, error="without a token, call this server by 127.0.0.1"))

    async def _refuse(self, request: web.Request, error: Unauthorized) -> web.Response:
        if isinstance(error, WrongSecret):
            logger.warning("a wrong token or signature from %s", request.remote)
            if seconds := await self._failures.add(request.remote):
                response = answer(429, {"Retry-After": str(seconds)}, error=f"{error}, too often")
                response.force_close()  # Each further guess costs a connection.
                return response
        return answer(401, {"WWW-Authenticate": "Bearer"}, error=str(error))

    async def _read(self, request: web.Request, *, is_known: bool) -> bytes:
        """Read and decompress the body. All bodies together stay below ``max_pending`` meanwhile."""
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            response = answer(
                415, {"Accept-Encoding": "gzip, deflate"}, error="expected gzip, deflate or no encoding"
            )
            response.force_close()
            raise BodyRejected(response)
        self._check_size(request.content_length or 0)
        content = bytearray()
        body = self._incoming.begin(is_known=is_known, close=request.protocol.force_close)
        try:
            async for part in request.content.iter_any():
                content += part
                self._check_size(len(content))
                if not self._incoming.grow(body, len(part), self._http.max_pending - self._publisher.pending):
                    raise BodyRejected(retry(429, FULL))
        except (web.RequestPayloadError, ContentEncodingError):
            request.content.feed_eof()  # Do not wait for the rest of a damaged body.
            response = answer(400, error="the body does not match its Content-Encoding")
            response.force_close()
            raise BodyRejected(response) from None
        finally:
            self._incoming.end(body)
        return bytes(content)

    def _check_size(self, size: int) -> None:
        if size > self._http.max_body:
            raise BodyRejected(answer(413, error=f"longer than {self._http.max_body} bytes"))
        if self._publisher.silent_seconds > self._timeout:
            raise BodyRejected(retry(503, "the broker does not answer"))
        if self._publisher.pending + size > self._http.max_pending:
            raise BodyRejected(retry(429, FULL))

    async def _send(self, decoder: Decoder, decoded: Decoded, size: int) -> web.Response:
        name = decoder.mapping.name
        acknowledgement: Acknowledgement = asyncio.get_running_loop().create_future()
        events = [event for _, event in decoded.events]
        identities = [
            http_identity(name, event, identity)
            for event, identity in itertools.zip_longest(events, decoded.identities)
        ]
        are_new, waiting = self._dedup.claim(identities, acknowledgement)
        new = [event for event, is_new in zip(events, are_new, strict=True) if is_new]
        self._metrics.read(
            name,
            events=len(new),
            no_requests=decoded.no_requests,
            repeats=decoded.repeats + len(events) - len(new),
            bad=decoded.bad_reasons(),
            group_accounts=decoded.group_accounts,
        )
        letters = [dead_letter(bad, self._redaction, name) for bad in decoded.bad]
        if new or letters:
            self._metrics.sent(letters)
            self._publisher.send(Request(new, letters, acknowledgement), size)
            waiting.add(acknowledgement)
        else:
            acknowledgement.cancel()
        if waiting:
            done, unfinished = await asyncio.wait(waiting, timeout=self._timeout)
            if unfinished or any(one.cancelled() or one.exception() for one in done):
                return retry(503, "the broker does not answer")
        return answer(
            200,
            None,
            accepted=len(new),
            duplicates=decoded.repeats + len(events) - len(new),
            skipped=sum(decoded.no_requests.values()),
            dead_letters=decoded.bad_total,
            **({"skipped_by_reason": decoded.no_requests} if decoded.no_requests else {}),
            **({"dead_letters_by_reason": decoded.bad_reasons()} if decoded.bad else {}),
            **({"team_accounts": decoded.group_accounts} if decoded.group_accounts else {}),
            **({"warning": GROUP_ACCOUNTS} if decoded.group_accounts else {}),
        )


def _refused(decoded: Decoded) -> Counter[str]:
    """The records of a body that is refused: the bad ones by reason, and the good ones beside them."""
    return decoded.bad_reasons() + Counter({BESIDE_BAD: len(decoded.events)})


async def serve(
    config: Config, settings: IngestSettings, partitions: int, metrics: IngestMetrics
) -> tuple[IngestServer, HttpPublisher]:
    """Start the server and its publisher."""
    publisher = HttpPublisher(config, partitions)
    server = IngestServer(settings, publisher, metrics, config.http)
    await publisher.start()
    try:
        await server.start()
    except OutOfReach:
        await publisher.stop()
        raise
    return server, publisher
