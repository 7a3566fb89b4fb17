"""Who somebody is, and what they may do.

Whoever is on an open page is nobody in particular; otherwise a proxy of ours says who it is, or a bearer
token, or the session that a login left in a cookie. Cookies and form tokens are signed and dated by
itsdangerous with the tokens themselves: a changed token ends every session, a restart ends none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import ipaddress
import logging
import secrets
from typing import Any

from aiohttp import web
from itsdangerous import BadSignature, URLSafeTimedSerializer

from pivotwatch.web.rate_limit import WAIT_SECONDS, RateLimit
from pivotwatch.web.settings import Role, WebSettings, is_loopback

logger = logging.getLogger(__name__)

FORM_FIELD = "form_token"
FORM_HOURS = 24


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Who asks; ``binding`` ties forms to a session, and is None where no form is needed."""

    name: str
    role: Role
    via: str
    binding: str | None

    @property
    def decides(self) -> bool:
        """May they decide on incidents?"""
        return self.role == "operator"


class Guard:
    """Identifies who sends a request.

    Parameters
    ----------
    settings
        The table ``[web]``.
    host
        Where the page listens.
    throttle
        Bounds failed log-ins.
    """

    def __init__(self, settings: WebSettings, host: str, throttle: RateLimit | None = None) -> None:
        self.settings = settings
        https = settings.tls_certfile is not None or not is_loopback(host)
        self.secure = https if settings.secure_cookie is None else settings.secure_cookie
        self.throttle = throttle or RateLimit()
        self._tokens = {person: person.token() for person in settings.people}
        key = _signing_key([*self._tokens.values(), *settings.form_key()])
        self._sessions = URLSafeTimedSerializer(key, salt="pivotwatch-session")
        self._forms = URLSafeTimedSerializer(key, salt="pivotwatch-form")

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; the prefix makes browsers insist on HTTPS and on this host."""
        return "__Host-pivotwatch" if self.secure else "pivotwatch"

    async def identify(self, request: web.Request) -> User | None:
        """Who it is, None for somebody unknown.

        Raises
        ------
        aiohttp.web.HTTPException
            For a wrong token, too many wrong ones, or a page that is reached under a strange name.
        """
        if not self.settings.guarded:
            return self._open(request)
        user = self._proxied(request)
        if user is None and "Authorization" in request.headers:
            user = await self._bearer(request)
        return user or self._session(request)

    def _open(self, request: web.Request) -> User:
        # A strange name that leads here is another site's attempt to read the page through a browser.
        if not is_loopback(request.url.host or ""):
            raise web.HTTPForbidden(text="this page is open to this machine only: call it by 127.0.0.1")
        return User("somebody at this machine", self.settings.open_as, "open", "open")

    def _proxied(self, request: web.Request) -> User | None:
        proxy = self.settings.proxy
        if proxy is None or not _within(request.remote, proxy.addresses):
            return None
        names = request.headers.getall(proxy.header, [])
        if not names:
            return None
        name = names[0].strip()
        if len(names) > 1 or not name or len(name) > 200 or not name.isprintable():
            raise web.HTTPForbidden(text=f"expected one name in {proxy.header}")
        groups = request.headers.getall(proxy.groups_header, []) if proxy.groups_header else []
        member = {group.strip() for line in groups for group in line.split(",")}
        decides = name in proxy.operators or bool(member & set(proxy.operator_groups))
        return User(name, "operator" if decides else "viewer", "proxy", f"proxy {name}")

    async def _bearer(self, request: web.Request) -> User:
        scheme, _, token = request.headers["Authorization"].partition(" ")
        if scheme.lower() != "bearer":
            raise web.HTTPUnauthorized(text="expected Authorization: Bearer")
        user = await self.check(request, token.strip())
        return dataclasses.replace(user, via="bearer", binding=None)

    async def check(self, request: web.Request, token: str) -> User:
        """Whose token it is; every token is compared, in a time that tells nothing.

        Raises
        ------
        aiohttp.web.HTTPException
            When it is nobody's, or too many wrong ones came from there.
        """
        address = request.remote or ""
        if not await self.throttle.allows(address):
            raise web.HTTPTooManyRequests(
                text="too many wrong tokens: come again later", headers={"Retry-After": str(WAIT_SECONDS)}
            )
        given = token.encode(errors="surrogateescape")
        found = None
        for person, own in self._tokens.items():
            if hmac.compare_digest(given, own):
                found = person
        if found is None:
            await self.throttle.failed(address)
            logger.warning("a wrong token from %s", address)
            raise web.HTTPUnauthorized(text="this token is not known")
        return User(found.name, found.role, "session", secrets.token_urlsafe(16))

    def _session(self, request: web.Request) -> User | None:
        try:
            found: Any = self._sessions.loads(
                request.cookies.get(self.cookie, ""), max_age=int(self.settings.session.total_seconds())
            )
            name, binding = found
        except (BadSignature, TypeError, ValueError):
            return None
        person = next((one for one in self._tokens if one.name == name), None)
        return User(person.name, person.role, "session", binding) if person else None

    def begin(self, response: web.StreamResponse, user: User) -> None:
        """Leave a session with whoever has logged in."""
        self._set(
            response,
            self.cookie,
            self._sessions.dumps([user.name, user.binding]),
            self.settings.session.total_seconds(),
        )

    def end(self, response: web.StreamResponse) -> None:
        """Take the session back."""
        response.del_cookie(self.cookie, path="/", secure=self.secure, httponly=True, samesite="Strict")

    def _set(self, response: web.StreamResponse, name: str, value: str, seconds: float) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(seconds),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self.secure,
        )

    # Forms: a page of another site can send one, but not with a token that only our pages hold.

    def form_token(self, binding: str) -> str:
        """What a form must hold to be taken from this session."""
        token: str = self._forms.dumps(binding)
        return token

    def login_token(self, request: web.Request, response: web.StreamResponse) -> str:
        """The same before there is a session: bound to a cookie that holds nothing else."""
        binding = request.cookies.get(self._login_cookie, "")
        if not 16 <= len(binding) <= 64:
            binding = secrets.token_urlsafe(16)
        self._set(response, self._login_cookie, binding, FORM_HOURS * 3600)
        return self.form_token("login " + binding)

    @property
    def _login_cookie(self) -> str:
        return self.cookie + "-login"

    def check_form(self, request: web.Request, token: object, user: User | None) -> None:
        """Let pass what one of our own pages sent.

        Raises
        ------
        aiohttp.web.HTTPForbidden
            Otherwise.
        """
        # Browsers say where a request comes from; other programs need not.
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise web.HTTPForbidden(text="a form from another site")
        binding = user.binding if user else "login " + request.cookies.get(self._login_cookie, "")
        try:
            found = self._forms.loads(token if isinstance(token, str) else "", max_age=FORM_HOURS * 3600)
        except BadSignature:
            found = None
        if (
            binding is None
            or not isinstance(found, str)
            or not hmac.compare_digest(found.encode(), binding.encode())
        ):
            raise web.HTTPForbidden(text="this form is too old or not ours: load the page again")


def _signing_key(held: list[bytes]) -> bytes:
    """From what only we and each person know, in a way that makes guessing slow.

    The form of the login is signed for everybody: a fast key would let them try tokens at home, as many
    as they like, without one failed login.
    """
    if not held:
        return secrets.token_bytes(32)
    return hashlib.scrypt(b"\n".join(sorted(held)), salt=b"pivotwatch-page", n=1 << 14, r=8, p=1)


def _within(address: str | None, networks: list[Any]) -> bool:
    try:
        ip = ipaddress.ip_address((address or "").split("%", maxsplit=1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks)
