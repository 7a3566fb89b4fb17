"""Checks of ``[web]``: what the role refuses when it starts, and what `pivotwatch doctor` reports."""

from __future__ import annotations

from collections.abc import Iterator

from pivotwatch.base.addresses import is_loopback
from pivotwatch.base.checks import Check
from pivotwatch.base.errors import Fault, WrongUse
from pivotwatch.config.config import Config
from pivotwatch.web.settings import WebSettings, read_settings

NAME = "web"


def check_settings(config: Config) -> Iterator[Check]:
    """Check that the page can start, and that others see it only after a log-in."""
    try:
        settings = read_settings(config.web)
        refuse_open_page(config, settings)
        refuse_forgotten_sessions(config, settings)
        _read_secrets(settings)
    except Fault as fault:
        yield Check(
            NAME, "fail", str(fault), "correct [web]; streams/pivotwatch/web/README.md lists the keys"
        )
        return
    local = is_loopback(config.web_host)
    if settings.has_login and not local and settings.tls_certfile is None and settings.proxy is None:
        message = f"the page listens on {config.web_host} without TLS, so tokens cross the network as text"
        step = "set [web] tls_certfile and tls_keyfile, or let a reverse proxy on this machine serve HTTPS"
        yield Check(NAME, "warn", message, step)
        return
    who = "people log in" if settings.has_login else "open to this machine only, without a log-in"
    yield Check(NAME, "ok", f"the secrets of the page can be read; {who}")


def refuse_open_page(config: Config, settings: WebSettings) -> None:
    """Refuse to serve a page without a login to other machines.

    Raises
    ------
    WrongUse
        When the page has no login and its address is not a loopback address.
    """
    if not settings.has_login and not is_loopback(config.web_host):
        raise WrongUse(
            f"web_host {config.web_host} is open to other machines, and the page shows accounts: "
            "set [web] people, oidc or proxy (streams/pivotwatch/web/README.md), or listen on 127.0.0.1"
        )


def refuse_forgotten_sessions(config: Config, settings: WebSettings) -> None:
    """A session may not outlive the record of its log-out.

    Raises
    ------
    WrongUse
        With what to do.
    """
    if config.retention.sessions and settings.session > config.retention.sessions:
        raise WrongUse("[web] session is longer than retention.sessions: set a shorter session")


def _read_secrets(settings: WebSettings) -> None:
    for person in settings.people:
        person.token()
    settings.form_key()
    if settings.oidc is not None:
        settings.oidc.client_secret()
