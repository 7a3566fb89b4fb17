"""The answers of the HTTP server of the role ``ingest``."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from pivotwatch.ingest.decoded import Decoded

RETRY_AFTER = "1"
MAX_LISTED = 20


def bad_documents(decoded: Decoded) -> web.Response:
    """The answer to a body that is refused: the positions of its first bad records, and what is wrong."""
    bad = [{"position": one.position, "problem": str(one.error)} for one in decoded.bad]
    return answer(
        400 if decoded.holds_no_document else 422,
        error=f"{decoded.bad_total} records cannot be read; no record was counted",
        bad=bad[:MAX_LISTED],
    )


def retry(status: int, error: str) -> web.Response:
    """The answer to a body that the client should send again."""
    return answer(status, {"Retry-After": RETRY_AFTER}, error=error)


def answer(status: int, headers: dict[str, str] | None = None, **content: Any) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        status=status, headers=headers, body=orjson.dumps(content), content_type="application/json"
    )
