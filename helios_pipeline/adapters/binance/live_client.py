"""What a node needs to hear Binance: the configuration of its data client, and the factory."""

import asyncio
from typing import Any

from nautilus_trader.adapters.binance.common.enums import BinanceAccountType
from nautilus_trader.adapters.binance.common.urls import get_usdm_ws_route_base_url
from nautilus_trader.adapters.binance.config import BinanceDataClientConfig, BinanceInstrumentProviderConfig
from nautilus_trader.adapters.binance.factories import (
    get_cached_binance_futures_instrument_provider,
    get_cached_binance_http_client,
)
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.identifiers import InstrumentId

from helios_pipeline.adapters.binance.live_data import BinanceLiveDataClient


class BinanceLiveDataFactory(LiveDataClientFactory):
    """Makes the client of a node."""

    @staticmethod
    def create(
        loop: asyncio.AbstractEventLoop,
        name: str,
        config: Any,  # noqa: ANN401
        msgbus: Any,  # noqa: ANN401
        cache: Any,  # noqa: ANN401
        clock: Any,  # noqa: ANN401
    ) -> BinanceLiveDataClient:
        """A client that finds the venue by the addresses of its configuration."""
        # The library keeps one client for good: a second node in this process would be given the first one's.
        get_cached_binance_http_client.cache_clear()
        get_cached_binance_futures_instrument_provider.cache_clear()
        http = get_cached_binance_http_client(
            clock=clock, account_type=config.account_type, base_url=config.base_url_http
        )
        provider = get_cached_binance_futures_instrument_provider(
            client=http,
            clock=clock,
            account_type=config.account_type,
            config=config.instrument_provider,
            venue=config.venue,
        )
        return BinanceLiveDataClient(
            loop=loop,
            client=http,
            msgbus=msgbus,
            cache=cache,
            clock=clock,
            instrument_provider=provider,
            account_type=config.account_type,
            base_url_ws=get_usdm_ws_route_base_url(config.base_url_ws, "market"),
            base_url_ws_public=get_usdm_ws_route_base_url(config.base_url_ws, "public"),
            name=name,
            config=config,
        )


def binance_data_client(
    http: str, ws: str, instrument_ids: tuple[str, ...]
) -> tuple[BinanceDataClientConfig, type[BinanceLiveDataFactory]]:
    """What a node needs to hear Binance: the configuration of its client and the factory.

    Args:
        http: base URL of REST, `https://fapi.binance.com`.
        ws: base URL of the streams, `wss://fstream.binance.com`.
        instrument_ids: contracts that are loaded.
    """
    config = BinanceDataClientConfig(
        account_type=BinanceAccountType.USDT_FUTURES,
        base_url_http=http.rstrip("/"),
        base_url_ws=ws.rstrip("/"),
        update_instruments_interval_mins=None,
        instrument_provider=BinanceInstrumentProviderConfig(
            load_ids=frozenset(InstrumentId.from_str(instrument_id) for instrument_id in instrument_ids)
        ),
    )
    return config, BinanceLiveDataFactory
