"""What the venue says of its contracts: filters, funding interval, and the index over all of them."""

from decimal import Decimal

from simulated_venues.binance.symbols import QUOTE_ASSET, base_asset, listed_ms, symbols
from simulated_venues.binance.view import Record
from simulated_venues.premium import RATE_CAP
from simulated_venues.settings import RAW_BARS_PER_FUNDING, RAW_BARS_PER_HOUR, SimulatedInstrument
from simulated_venues.source import MarketSource

INDEX_SYMBOL = "ALLUSDT"
"""The venue's composite index: every base asset in equal parts. It is not traded."""

_NEVER_DELIVERED_MS = 4_133_404_800_000
_LOTS_PER_ORDER, _LOTS_PER_MARKET_ORDER, _TICKS = 1_000_000, 120_000, 10**9
_INDEX_VALUE = 1_000


def exchange_info(source: MarketSource, weight_per_minute: int, now_ms: int) -> Record:
    """The whole answer of `exchangeInfo`."""
    listed = symbols(source).values()
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, weight_per_minute),
            _rate_limit("ORDERS", "MINUTE", 1, 1_200),
            _rate_limit("ORDERS", "SECOND", 10, 300),
        ],
        "exchangeFilters": [],
        "assets": [{"asset": QUOTE_ASSET, "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol(instrument, listed_ms(source)) for instrument in listed],
    }


def funding_info(source: MarketSource) -> list[Record]:
    """Funding interval and cap of every contract, for the cap differs from the usual one.

    The interval is in hours of the market: 8 also where a fast world settles every 8 minutes, which no hour states.
    """
    return [
        {
            "symbol": symbol,
            "adjustedFundingRateCap": f"{RATE_CAP:.8f}",
            "adjustedFundingRateFloor": f"{-RATE_CAP:.8f}",
            "fundingIntervalHours": RAW_BARS_PER_FUNDING // RAW_BARS_PER_HOUR,
            "disclaimer": False,
            "updateTime": listed_ms(source),
        }
        for symbol in symbols(source)
    ]


def index_info(index_prices: dict[str, float], at_ms: int) -> Record:
    """The composite index.

    Args:
        index_prices: of each base asset, quote currency.
        at_ms: when.
    """
    share = 1 / len(index_prices)
    return {
        "symbol": INDEX_SYMBOL,
        "time": at_ms,
        "component": "baseAsset",
        "baseAssetList": [
            {
                "baseAsset": asset,
                "quoteAsset": QUOTE_ASSET,
                "weightInQuantity": f"{share * _INDEX_VALUE / price:.8f}",
                "weightInPercentage": f"{share:.8f}",
            }
            for asset, price in index_prices.items()
        ],
    }


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> Record:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def _symbol(instrument: SimulatedInstrument, onboard_ms: int) -> Record:
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_DELIVERED_MS,
        "onboardDate": onboard_ms,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base_asset(instrument),
        "quoteAsset": QUOTE_ASSET,
        "marginAsset": QUOTE_ASSET,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": instrument.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": _filters(instrument),
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }


def _filters(instrument: SimulatedInstrument) -> list[Record]:
    tick, lot = instrument.tick, instrument.lot
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": _plain(tick),
            "maxPrice": _plain(tick * _TICKS),
            "tickSize": _plain(tick),
        },
        _lot_filter("LOT_SIZE", lot, _LOTS_PER_ORDER),
        _lot_filter("MARKET_LOT_SIZE", lot, _LOTS_PER_MARKET_ORDER),
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def _lot_filter(kind: str, lot: Decimal, most: int) -> Record:
    return {"filterType": kind, "minQty": _plain(lot), "maxQty": _plain(lot * most), "stepSize": _plain(lot)}


def _plain(value: Decimal) -> str:
    return f"{value:f}"
