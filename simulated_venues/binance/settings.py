"""How a simulated Binance behaves, beside its prices."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceSettings:
    """Settings of a simulated Binance.

    Attributes:
        port: of archive, REST, WebSocket and page alike; 0: the system chooses.
        weight_per_minute: request weight a client may use before HTTP 429; on the venue 2,400.
        connection_seconds: a WebSocket connection is closed after so long; on the venue 24 hours.
        ping_seconds: the venue pings so often; 180 there.
    """

    port: int = 0
    weight_per_minute: int = 2_400
    connection_seconds: float = 86_400.0
    ping_seconds: float = 180.0
