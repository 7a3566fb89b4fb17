"""Authentication and roles of people and programs.

A page without login has only local users. Otherwise a trusted proxy names the user, or a bearer token, or the
session cookie of a login. itsdangerous signs and dates cookies and form tokens with a key derived from the
tokens: a changed token ends every session, a restart ends none. A cookie counts only while the topic
``sessions`` holds its session, and while that still fits the configuration.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from itsdangerous import BadSignature, URLSafeTimedSerializer
from msgspec.structs import replace

from pivotwatch.base.addresses import is_loopback, is_within
from pivotwatch.base.errors import OutOfReach
from pivotwatch.contracts.codec import encode
from pivotwatch.contracts.sessions import Method, Session
from pivotwatch.engine.http.browser_origin import has_foreign_origin, has_foreign_site, named_host
from pivotwatch.engine.http.failed_attempts import FailedAttempts
from pivotwatch.web.login_log import LoginLog
from pivotwatch.web.login_log import Method as LoginMethod
from pivotwatch.web.sessions import Sessions, SessionWriter, id_of, now
from pivotwatch.web.settings import Person, Role, WebSettings

FORM_FIELD = "form_token"
FORM_HOURS = 24
ATTEMPT_SECONDS = 600


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """The user of a request; ``binding`` ties forms to a session and is None when no form is needed."""

    name: str
    role: Role
    via: str
    binding: str | None

    @property
    def decides(self) -> bool:
        """Whether the user may decide on incidents."""
        return self.role == "operator"


class Authenticator:
    """Identifies the user of a request, and signs sessions and forms.

    Parameters
    ----------
    settings
        The table ``[web]``.
    host
        Address that the page listens on.
    sessions, writer
        The sessions that there are, and who writes new ones.
    log
        Logs and counts log-ins.
    failures
        Slows those who try wrong tokens.
    """

    def __init__(
        self,
        settings: WebSettings,
        host: str,
        sessions: Sessions,
        writer: SessionWriter,
        log: LoginLog,
        *,
        failures: FailedAttempts | None = None,
    ) -> None:
        self.settings, self.sessions, self.writer, self.log = settings, sessions, writer, log
        https = settings.tls_certfile is not None or not is_loopback(host)
        self.secure = https if settings.secure_cookie is None else settings.secure_cookie
        self._failures = failures or FailedAttempts()
        self._tokens = {person: person.token() for person in settings.people}
        secret = settings.oidc.client_secret() if settings.oidc else None
        held = [*self._tokens.values(), *settings.form_key(), *([secret.encode()] if secret else [])]
        self._key = key = _signing_key(held)
        self._sessions = URLSafeTimedSerializer(key, salt="pivotwatch-session")
        self._forms = URLSafeTimedSerializer(key, salt="pivotwatch-form")
        self._attempts = URLSafeTimedSerializer(key, salt="pivotwatch-oidc")

    @property
    def cookie(self) -> str:
        """Name of the session cookie; browsers accept its prefix only over HTTPS and from this host."""
        return "__Host-pivotwatch" if self.secure else "pivotwatch"

    async def identify(self, request: web.Request) -> User | None:
        """The user of a request; None when unknown.

        Raises
        ------
        aiohttp.web.HTTPException
            For a wrong token, too many wrong tokens, or a foreign host name on a page without login.
        """
        if not self.settings.has_login:
            return self._open(request)
        user = self._proxied(request)
        if user is not None:
            self.log.seen("proxy", user.name, request.remote)
        elif "Authorization" in request.headers:
            user = await self._bearer(request)
        return user or await self._session(request)

    def still_holds(self, user: User) -> bool:
        """Whether a user who was identified earlier would still be: the session may have ended since."""
        return user.via != "session" or self.sessions.find(id_of(user.binding or "")) is not None

    def _open(self, request: web.Request) -> User:
        # A foreign host name that resolves to this page is a DNS rebinding attack.
        if not is_loopback(named_host(request.headers)):
            raise web.HTTPForbidden(
                text="this page has no login, so it answers only to 127.0.0.1 and localhost"
            )
        return User("local user", self.settings.open_as, "open", "open")

    def _proxied(self, request: web.Request) -> User | None:
        proxy = self.settings.proxy
        if proxy is None or not is_within(request.remote, proxy.addresses):
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
        user = await self.check(request, token.strip(), "bearer")
        self.log.seen("bearer", user.name, request.remote)
        return dataclasses.replace(user, via="bearer", binding=None)

    async def check(self, request: web.Request, token: str, method: LoginMethod) -> User:
        """The user with a token. Every token is compared in constant time.

        A known token always passes; only unknown ones are counted and slowed.

        Raises
        ------
        aiohttp.web.HTTPException
            When the token is unknown.
        """
        given = token.encode(errors="surrogateescape")
        found = None
        for person, own in self._tokens.items():
            if hmac.compare_digest(given, own):
                found = person
        if found is None:
            self.log.refused(method, request.remote, "unknown token")
            if seconds := await self.slow_down(request):
                raise web.HTTPTooManyRequests(
                    text="unknown token, like many before from this address",
                    headers={"Retry-After": str(seconds)},
                )
            raise web.HTTPUnauthorized(text="unknown token")
        return User(found.name, found.role, "session", secrets.token_urlsafe(16))

    async def slow_down(self, request: web.Request) -> int:
        """Count a failure of an address and wait; the seconds for ``Retry-After``, 0 within the allowance."""
        return await self._failures.add(request.remote)

    async def _session(self, request: web.Request) -> User | None:
        try:
            found: Any = self._sessions.loads(
                request.cookies.get(self.cookie, ""), max_age=int(self.settings.session.total_seconds())
            )
            binding, offset = found
            ident = id_of(binding)
        except (AttributeError, BadSignature, TypeError, ValueError):
            return None
        # Another worker may have begun it just now, or this one still reads.
        if not await self.sessions.reached(offset) and not self.sessions.loaded.is_set():
            raise web.HTTPServiceUnavailable(
                text="still loading the topics; try again in a few seconds", headers={"Retry-After": "2"}
            )
        session = self.sessions.find(ident)
        if session is None or not hmac.compare_digest(session.tag, self._tag(ident, session) or ""):
            return None
        return User(session.name, session.role, "session", binding)

    def _tag(self, ident: str, session: Session) -> str | None:
        """The authentication code of a session; None when the configuration does not know its person.

        Whoever can write to the topic cannot make a session, or make one that is theirs another person's.
        """
        credential = self._credential(session)
        if credential is None:
            return None
        about = [ident, session.name, session.role, session.method, session.begun, session.ends]
        return hmac.digest(self._key, b"session " + encode(about) + credential, "sha256").hex()

    def _credential(self, session: Session) -> bytes | None:
        """What a session depends on, with the role that it gives."""
        person = self.person(session.name)
        if session.method == "token":
            return self._tokens[person] if person is not None and person.role == session.role else None
        oidc = self.settings.oidc
        if oidc is None or person is not None:
            return None
        # Who may be what by these settings; another provider or other roles need another log-in.
        given = oidc.name_claim, oidc.roles_claim, sorted(oidc.operators), sorted(oidc.viewers)
        return encode([oidc.issuer, oidc.client_id, *given])

    def person(self, name: str) -> Person | None:
        """The person with a token who has this name."""
        return next((one for one in self._tokens if one.name == name), None)

    async def begin(
        self, request: web.Request, response: web.StreamResponse, user: User, method: Method
    ) -> None:
        """Begin the session of a user who logged in, and set its cookie.

        Raises
        ------
        aiohttp.web.HTTPServiceUnavailable
            When the broker does not confirm the session.
        """
        binding, begun = user.binding or "", now()
        ident = id_of(binding)
        session = Session(
            name=user.name,
            role=user.role,
            method=method,
            begun=begun,
            ends=begun + self.settings.session,
            tag="-",
        )
        session = replace(session, tag=self._tag(ident, session) or "-")
        try:
            offset = await self.writer.begin(ident, session)
        except OutOfReach as error:
            raise web.HTTPServiceUnavailable(text=f"the log-in was not saved: {error}") from None
        self.log.accepted(method, user.name, request.remote)
        cookie = self._sessions.dumps([binding, offset])
        self._set(response, self.cookie, cookie, self.settings.session.total_seconds())

    async def end(self, request: web.Request, response: web.StreamResponse, *, everywhere: bool) -> None:
        """End the session of a request, or all sessions of its user, and remove the cookie.

        Raises
        ------
        aiohttp.web.HTTPServiceUnavailable
            When the broker does not confirm it. This browser is logged out anyway.
        """
        user = await self._session(request)
        response.del_cookie(self.cookie, path="/", secure=self.secure, httponly=True, samesite="Strict")
        if user is None:
            return
        self.log.ended(user.name, user.name, request.remote, everywhere=everywhere)
        try:
            if everywhere:
                await self.writer.end_all(user.name, user.name)
            else:
                await self.writer.end(id_of(user.binding or ""), user.name)
        except OutOfReach as error:
            refused = web.HTTPServiceUnavailable(
                text=f"you are logged out here, but maybe not at every worker: {error}"
            )
            refused.cookies.update(response.cookies)
            raise refused from None

    def _set(
        self, response: web.StreamResponse, name: str, value: str, seconds: float, samesite: str = "Strict"
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(seconds),
            path="/",
            httponly=True,
            samesite=samesite,
            secure=self.secure,
        )

    # Forms: another site can send one, but not with a token that only our pages contain.

    def form_token(self, binding: str) -> str:
        """The token that a form of this session must contain."""
        token: str = self._forms.dumps(binding)
        return token

    def login_token(self, request: web.Request, response: web.StreamResponse) -> str:
        """The form token of the login, bound to a cookie of its own."""
        binding = request.cookies.get(self._login_cookie, "")
        if not 16 <= len(binding) <= 64:
            binding = secrets.token_urlsafe(16)
        self._set(response, self._login_cookie, binding, FORM_HOURS * 3600)
        return self.form_token("login " + binding)

    # The log-in through a provider: what is kept in the browser meanwhile.

    def remember(self, response: web.StreamResponse, attempt: Sequence[str]) -> None:
        """Keep a log-in in a cookie. The provider sends the browser back from another site, hence Lax."""
        self._set(
            response, self._attempt_cookie, self._attempts.dumps([*attempt]), ATTEMPT_SECONDS, samesite="Lax"
        )

    def remembered(self, request: web.Request) -> list[str] | None:
        """The log-in that this browser began; None when there is none, or it is too long ago."""
        try:
            found = self._attempts.loads(
                request.cookies.get(self._attempt_cookie, ""), max_age=ATTEMPT_SECONDS
            )
        except (BadSignature, UnicodeError):
            return None
        return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None

    def forget(self, response: web.StreamResponse) -> None:
        """Remove the cookie of a log-in: it counts once."""
        response.del_cookie(self._attempt_cookie, path="/", secure=self.secure, httponly=True, samesite="Lax")

    @property
    def _attempt_cookie(self) -> str:
        return self.cookie + "-oidc"

    @property
    def _login_cookie(self) -> str:
        return self.cookie + "-login"

    def check_form(self, request: web.Request, token: object, user: User | None) -> None:
        """Check that one of our own pages sent a form.

        Raises
        ------
        aiohttp.web.HTTPForbidden
            When another site sent it, or its token is wrong or too old.
        """
        if self._is_foreign(request):
            raise web.HTTPForbidden(
                text="the form came from another site (a proxy must pass on the header Host)"
            )
        binding = user.binding if user else "login " + request.cookies.get(self._login_cookie, "")
        try:
            found = self._forms.loads(token if isinstance(token, str) else "", max_age=FORM_HOURS * 3600)
        except (BadSignature, UnicodeError):
            found = None
        if (
            binding is None
            or not isinstance(found, str)
            or not hmac.compare_digest(found.encode(), binding.encode(errors="surrogateescape"))
        ):
            raise web.HTTPForbidden(text="the form has expired or is not from this page; reload the page")

    def _is_foreign(self, request: web.Request) -> bool:
        """Whether a browser sent a request for another site."""
        if "Sec-Fetch-Site" in request.headers:
            return has_foreign_site(request.headers)
        # Browsers leave it out without HTTPS. A trusted proxy may have changed the host.
        proxy = self.settings.proxy
        return has_foreign_origin(request.headers) and not (
            proxy is not None and is_within(request.remote, proxy.addresses)
        )


def _signing_key(held: list[bytes]) -> bytes:
    """The signing key, derived slowly from all tokens.

    Everybody gets a signed login form. With a fast derivation they could guess tokens offline against that
    signature, without one failed login.
    """
    if not held:
        return secrets.token_bytes(32)
    return hashlib.scrypt(b"\n".join(sorted(held)), salt=b"pivotwatch-page", n=1 << 14, r=8, p=1)
