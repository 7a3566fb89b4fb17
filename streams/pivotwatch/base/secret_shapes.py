"""What looks like a secret, by its name or by its form."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|pwd|pass|secrets?|tokens?|credentials?|bearer|hmac|api_?key|apikey|key|"
    r"access_key|private_key|dsn|webhook)$"
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MARK = re.compile(
    r"-----BEGIN |^(?i:bearer|basic) \S|(^|[\s\"'=:,])(whsec_|xox[a-z]-|xapp-|gh[pousr]_|github_pat_|glpat-|"
    r"[rs]k[-_](?=[\w-]*\d)[\w-]{20,}|AKIA[A-Z0-9]{12}|eyJ[\w-]{8,}\.)"
)
# Up to the last "@" before a blank, so that a password with "@" or "/" in it counts as well.
_USER_INFO = re.compile(r"://[^\s/?#]*@|://[^\s@/]*:[^\s@]*@|(^|[\s,])[^\s,:@/]+:[^\s,@]+@[^\s,@]+:\d+")
_PARAMETER = re.compile(
    r"[?&#;]([\w.-]*(password|passwd|pwd|secret|token|auth|sig|signature|credential|key|code))=[^\s&]",
    re.IGNORECASE,
)
_WEBHOOK = re.compile(
    r"hooks\.slack(-gov)?\.com/|discord(app)?\.com/api/webhooks/|webhook\.office\.com/|outlook\.office\.com/webhook|"
    r"logic\.azure\.com|powerplatform\.com/|events\.pagerduty\.com/integration/|api\.telegram\.org/bot|"
    r"chat\.googleapis\.com/v1/spaces/|/hooks/\w{16,}|/api/webhooks/",
    re.IGNORECASE,
)
# A notification service of apprise, such as tgram://, discord:// or mailto://: its address holds the token.
_SERVICE = re.compile(r"(?<![\w+.-])(?!(?:https?|file)://)[a-z0-9][\w+.-]*://\S", re.IGNORECASE)
_PART = re.compile(r"(?<=[/=])[\w~-]{20,}(?=[/?#&\s]|$)")


def holds_secret(value: object) -> bool:
    """Whether a value looks like a secret, or holds one: an address with a password or a token in it.

    Examples
    --------
    >>> (
    ...     holds_secret("https://kim:pass@page.example"),
    ...     holds_secret("https://hooks.slack.com/services/T0/B0/x"),
    ... )
    (True, True)
    >>> (
    ...     holds_secret("https://page.example/?token=1"),
    ...     holds_secret("xoxb-1-2"),
    ...     holds_secret("kim:x@kafka:9092"),
    ...     holds_secret("tgram://1/2"),
    ... )
    (True, True, True, True)
    >>> (
    ...     holds_secret("https://page.example/watch"),
    ...     holds_secret("kafka-1:9092,kafka-2:9092"),
    ...     holds_secret("1h"),
    ... )
    (False, False, False)
    """
    if isinstance(value, Mapping):
        return any(holds_secret(one) for one in value.values())
    text = str(value)
    if any(pattern.search(text) for pattern in (_MARK, _USER_INFO, _PARAMETER, _WEBHOOK, _SERVICE)):
        return True
    parts = _PART.findall(_UUID.sub("", text)) if "://" in text else ()
    return any(re.search(r"\d", part) and re.search(r"[A-Za-z]", part) for part in parts)


def is_secret_name(name: str) -> bool:
    """Whether a key with this name would hold a secret; a file or a variable that holds one is none.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("sasl_password", "Client-Secret", "token_file", "secret_env")]
    [True, True, False, False]
    """
    return _NAME.search(name.lower().replace("-", "_")) is not None
