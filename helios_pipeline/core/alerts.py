"""What a person is told when live trading needs one: an alert, in the words that go out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Severity = Literal["info", "warning", "critical"]
AlertState = Literal["raised", "standing", "recovered", "happened"]
"""Something began, still stands when it is told again, is over; or happened once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message to a person.

    Attributes:
        alert_id: the same each time this message is delivered; the receiver drops what it has already.
        account: that it is about.
        kind: what is wrong, one word for programs: `engine_down`.
        subject: of several that may be wrong in this way, which; else empty.
        severity: critical: somebody has to look now.
        state: whether it begins, still stands, or is over.
        summary: one line for people.
        facts: what was found, by name.
        since: when it began.
        told_at: when this message was written.
    """

    alert_id: str
    account: str
    kind: str
    subject: str
    severity: Severity
    state: AlertState
    summary: str
    facts: Mapping[str, str]
    since: datetime
    told_at: datetime
