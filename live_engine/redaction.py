"""Keeps secrets out of what is written: logs, alerts, and what an engine said when it ended."""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

HIDDEN = "***"
SHORTEST = 6
"""Characters of a secret that is looked for everywhere; anything shorter would hide half the text."""

LONG_PATH = 16
"""Characters from which the path of a secret address is taken for a token."""

SECRET_NAME = re.compile(
    r"key(?!_id|board)|secret|token|passw|pwd|mnemonic|seed_?phrase|credential|authorization|webhook|database_url|postgres_url",
    re.IGNORECASE,
)
"""Names, of fields and environment variables, whose values are secrets."""

NO_SECRET = re.compile(r"_(file|path|format)$", re.IGNORECASE)
"""Endings of names that say where a secret is, not what it is."""

_URL_LOGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*://)[^\s/?#@\"'<>]*(?:@[^\s/?#@\"'<>]*)*@", re.IGNORECASE)
_SECRET_QUERY = re.compile(
    r"(?P<name>[?&;](?:[\w\-]*(?:key|secret|token|signature|passw|pwd)[\w\-]*)=)[^&#\s\"'<>]+", re.IGNORECASE
)
_WEBHOOK = re.compile(
    r"(?P<host>https?://(?:[\w.\-]*\.)?(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks|"
    r"discord(?:app)?\.com/api/v\d+/webhooks|webhook\.office\.com|hooks\.zapier\.com|api\.telegram\.org))/[^\s\"'<>]+",
    re.IGNORECASE,
)
_PASSWORD_WORD = re.compile(
    r"(?P<name>(?:password|passwd|pwd)\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;'\"]+)", re.IGNORECASE
)
_BEARER = re.compile(
    r"(?P<name>bearer\s+|authorization[\"']?\s*[:=]\s*[\"']?\w+\s+)[A-Za-z0-9._~+/\-]{8,}=*", re.IGNORECASE
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


class Redactor:
    """Replaces known secrets, and what looks like one, by `***`.

    Known are the secrets that a process was given: in whatever spelling URLs, JSON or a dump of text make of them.
    Besides, whatever their source: logins in URLs, addresses of known webhooks, tokens in queries and headers, private
    keys in PEM, and the values of fields with names like `password`. A 64-digit hexadecimal number alone may be a hash,
    so a private key is hidden only if it is known.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spellings: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.add(*secrets)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Redactor":
        """Knows every value of a variable whose name says that it is a secret."""
        return cls(value for name, value in environment.items() if is_secret_name(name))

    def add(self, *secrets: str) -> None:
        """Know more secrets, such as one that was read from a file."""
        for secret in secrets:
            self._spellings |= {s for s in _spellings(secret.strip()) if len(s) >= SHORTEST}
        # The longest first: a secret may be a part of another.
        wanted = sorted(self._spellings, key=len, reverse=True)
        parts = [r"\s+".join(re.escape(word) for word in each.split()) for each in wanted]
        self._known = re.compile("|".join(parts), re.IGNORECASE) if parts else None

    def text(self, text: str) -> str:
        """A text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if "://" in text:
            text = _URL_LOGIN.sub(rf"\g<scheme>{HIDDEN}@", text)
            text = _WEBHOOK.sub(rf"\g<host>/{HIDDEN}", text)
        text = _SECRET_QUERY.sub(rf"\g<name>{HIDDEN}", text)
        text = _PASSWORD_WORD.sub(rf"\g<name>{HIDDEN}", text)
        text = _BEARER.sub(rf"\g<name>{HIDDEN}", text)
        return _PEM.sub(HIDDEN, text)

    def clean(self, value: object) -> object:
        """A value that JSON can hold, without secrets in texts, names and whatever else spells itself."""
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if value == value and abs(value) != float("inf") else str(value)
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(name)): self._field(str(name), each) for name, each in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.clean(each) for each in value]
            case _:
                return self.text(str(value))

    def _field(self, name: str, value: object) -> object:
        hidden = is_secret_name(name) and isinstance(value, str) and value
        return HIDDEN if hidden else self.clean(value)


def is_secret_name(name: str) -> bool:
    """Whether a field or variable of that name holds a secret."""
    return SECRET_NAME.search(name) is not None and NO_SECRET.search(name) is None


def _spellings(secret: str) -> set[str]:
    """What a secret may look like inside other text."""
    parts = {secret, secret[2:] if secret.lower().startswith("0x") else secret, *_parts_of_url(secret)}
    found = set(parts)
    for each in parts:
        found |= {quote(each, safe=""), quote(each), quote_plus(each)}
        found |= {
            json.dumps(each)[1:-1],
            json.dumps(each, ensure_ascii=False)[1:-1],
            repr(each)[1:-1],
            ascii(each)[1:-1],
        }
    return found


def _parts_of_url(secret: str) -> set[str]:
    """What of an address is secret by itself: its password, and a path or query that is long enough to be a token."""
    try:
        parts = urlsplit(secret)
        password = parts.password or ""
    except ValueError:
        return set()
    if not parts.scheme or not parts.netloc:
        return set()
    pieces = {each for each in (parts.path.strip("/"), parts.query) if len(each) >= LONG_PATH}
    return {password, unquote(password)} | pieces
