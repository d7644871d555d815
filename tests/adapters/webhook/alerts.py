"""Alerts, as tests need them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from helios_pipeline.core.alerts import Alert

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def alert(number: int = 1, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "alert_id": f"{number:032x}",
        "account": "DYDX-paper",
        "kind": "engine_down",
        "subject": "",
        "severity": "critical",
        "state": "raised",
        "summary": "the engine ended with code 9",
        "facts": {"said": "journal: expected room on the disk, found none"},
        "since": NOW,
        "told_at": NOW + timedelta(seconds=number),
    }
    return Alert(**(values | changes))
