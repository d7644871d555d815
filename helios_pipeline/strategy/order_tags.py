"""What an order carries from the strategy to the journal, as NautilusTrader's tags: `name=value`."""

from collections.abc import Sequence
from typing import cast, get_args

from helios_pipeline.core.trading import Purpose
from helios_pipeline.strategy.holding import FOREIGN, SentOrder


def write_tags(sent: SentOrder) -> list[str]:
    """Tags of an order: purpose, reason, and where it has them the deciding boundary (ns) and its ATR."""
    tags = [f"purpose={sent.purpose}", f"reason={sent.reason}"]
    if sent.boundary:
        tags.append(f"boundary={sent.boundary}")
    if sent.atr == sent.atr:
        tags.append(f"atr={sent.atr!r}")
    return tags


def read_tags(tags: Sequence[str] | None) -> SentOrder:
    """What an order was sent for; `FOREIGN` without tags of ours."""
    values = dict(tag.partition("=")[::2] for tag in tags or ())
    if values.get("purpose") not in get_args(Purpose):
        return FOREIGN
    return SentOrder(
        cast(Purpose, values["purpose"]),
        values.get("reason", ""),
        int(values.get("boundary", 0)),
        float(values.get("atr", "nan")),
    )
