"""An alert in a receiver's words, and the signature by which it knows that the alert is ours."""

import hashlib
import hmac
import json
from collections.abc import Callable

from helios_pipeline.adapters.webhook.address import Webhook, WebhookFormat
from helios_pipeline.core.alerts import Alert
from helios_pipeline.core.canonical import canonical_bytes

ID_HEADER = "Helios-Alert-Id"
TIME_HEADER = "Helios-Timestamp"
SIGNATURE_HEADER = "Helios-Signature"

SLACK_CHARACTERS = 3_000
DISCORD_CHARACTERS = 2_000
"""Most that a message of Discord may hold (Discord documentation, "Create Message")."""

_STATES = {"raised": "", "standing": "still: ", "recovered": "over: ", "happened": ""}


def message(alert: Alert, webhook: Webhook, sent_at: int) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request.

    Args:
        alert: what to say.
        webhook: to whom.
        sent_at: Unix time of this attempt, in seconds: a receiver refuses what is much older.
    """
    body = _BODIES[webhook.format](alert)
    headers = {"Content-Type": "application/json", ID_HEADER: alert.alert_id, TIME_HEADER: str(sent_at)}
    if webhook.secret:
        headers[SIGNATURE_HEADER] = signature(webhook.secret, sent_at, body)
    return body, headers


def signature(secret: str, sent_at: int, body: bytes) -> str:
    """`sha256=` and the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`."""
    return "sha256=" + hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()


def line_of(alert: Alert) -> str:
    """An alert in one line for people."""
    return f"{alert.severity.upper()} {alert.account}: {_STATES[alert.state]}{alert.summary}"


def _helios(alert: Alert) -> bytes:
    return canonical_bytes(alert)


def _slack(alert: Alert) -> bytes:
    # Slack's own escapes (Slack documentation, "Formatting text for app surfaces"): a fact must not become a mention.
    text = _text(alert, SLACK_CHARACTERS).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return json.dumps({"text": text}, ensure_ascii=False).encode()


def _discord(alert: Alert) -> bytes:
    content = {"content": _text(alert, DISCORD_CHARACTERS), "allowed_mentions": {"parse": []}}
    return json.dumps(content, ensure_ascii=False).encode()


def _text(alert: Alert, longest: int) -> str:
    """The line, the facts, and the id last; facts are cut when it is too long."""
    said = "\n".join([line_of(alert), *(f"• {name}: {value}" for name, value in alert.facts.items())])
    last = f"\nsince {alert.since:%Y-%m-%d %H:%M:%S} UTC · {alert.alert_id}"
    room = longest - len(last)
    return (said if len(said) <= room else said[: room - 1] + "…") + last


_BODIES: dict[WebhookFormat, Callable[[Alert], bytes]] = {"helios": _helios, "slack": _slack, "discord": _discord}
