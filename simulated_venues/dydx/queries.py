"""Answers of the protocol's own query services: bank, subaccounts, markets, prices, fees, statistics."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from v4_proto.cosmos.bank.v1beta1.query_pb2 import QueryAllBalancesResponse, QueryBalanceResponse
from v4_proto.cosmos.base.v1beta1.coin_pb2 import Coin
from v4_proto.dydxprotocol.blocktime.blocktime_pb2 import BlockInfo
from v4_proto.dydxprotocol.blocktime.query_pb2 import QueryPreviousBlockInfoResponse
from v4_proto.dydxprotocol.clob.clob_pair_pb2 import ClobPair, PerpetualClobMetadata
from v4_proto.dydxprotocol.clob.equity_tier_limit_config_pb2 import EquityTierLimit, EquityTierLimitConfiguration
from v4_proto.dydxprotocol.clob.query_pb2 import (
    QueryClobPairAllResponse,
    QueryClobPairResponse,
    QueryEquityTierLimitConfigurationResponse,
)
from v4_proto.dydxprotocol.feetiers.params_pb2 import PerpetualFeeParams, PerpetualFeeTier
from v4_proto.dydxprotocol.feetiers.query_pb2 import QueryPerpetualFeeParamsResponse, QueryUserFeeTierResponse
from v4_proto.dydxprotocol.perpetuals.perpetual_pb2 import PERPETUAL_MARKET_TYPE_CROSS, Perpetual, PerpetualParams
from v4_proto.dydxprotocol.perpetuals.query_pb2 import QueryAllPerpetualsResponse, QueryPerpetualResponse
from v4_proto.dydxprotocol.prices.market_price_pb2 import MarketPrice
from v4_proto.dydxprotocol.prices.query_pb2 import QueryAllMarketPricesResponse, QueryMarketPriceResponse
from v4_proto.dydxprotocol.stats.query_pb2 import QueryUserStatsResponse
from v4_proto.dydxprotocol.stats.stats_pb2 import UserStats
from v4_proto.dydxprotocol.subaccounts.asset_position_pb2 import AssetPosition
from v4_proto.dydxprotocol.subaccounts.perpetual_position_pb2 import PerpetualPosition
from v4_proto.dydxprotocol.subaccounts.query_pb2 import QuerySubaccountAllResponse, QuerySubaccountResponse
from v4_proto.dydxprotocol.subaccounts.subaccount_pb2 import Subaccount
from v4_proto.dydxprotocol.subaccounts.subaccount_pb2 import SubaccountId as SubaccountMessage

from simulated_venues.dydx.chain import Chain
from simulated_venues.dydx.equity_tiers import STATEFUL_LIMITS
from simulated_venues.dydx.fees import MAINNET_TIERS, FeeTier
from simulated_venues.dydx.records import Market, SubaccountId
from simulated_venues.dydx.transfers import USDC_ASSET_ID

USDC_DENOM = "ibc/8E27BA2D5493AF5636760E354E46004562C46AB7EC0CC4C1CA14E9E20E2545B5"
_ORACLE_DIGITS = 8
_POSITIVE, _NEGATIVE = b"\x02", b"\x03"


class NotFoundError(Exception):
    """There is nothing by that name on the chain."""


def query_answers(chain: Chain) -> dict[str, Callable[[Any], Message]]:
    """Answers by `service/method`."""
    return {
        "cosmos.bank.v1beta1.Query/Balance": lambda request: _balance(chain, request.address, request.denom),
        "cosmos.bank.v1beta1.Query/AllBalances": lambda request: _balances(chain, request.address),
        "dydxprotocol.blocktime.Query/PreviousBlockInfo": lambda _: _previous_block(chain),
        "dydxprotocol.clob.Query/ClobPair": lambda request: QueryClobPairResponse(
            clob_pair=_clob_pair(_market(chain, request.id))
        ),
        "dydxprotocol.clob.Query/ClobPairAll": lambda _: QueryClobPairAllResponse(
            clob_pair=[_clob_pair(market) for market in chain.markets.values()]
        ),
        "dydxprotocol.clob.Query/EquityTierLimitConfiguration": lambda _: _equity_tiers(),
        "dydxprotocol.feetiers.Query/PerpetualFeeParams": lambda _: _fee_tiers(),
        "dydxprotocol.feetiers.Query/UserFeeTier": lambda request: _user_fee_tier(chain, request.user),
        "dydxprotocol.perpetuals.Query/Perpetual": lambda request: QueryPerpetualResponse(
            perpetual=_perpetual(_market(chain, request.id))
        ),
        "dydxprotocol.perpetuals.Query/AllPerpetuals": lambda _: QueryAllPerpetualsResponse(
            perpetual=[_perpetual(market) for market in chain.markets.values()]
        ),
        "dydxprotocol.prices.Query/MarketPrice": lambda request: QueryMarketPriceResponse(
            market_price=_price(chain, _market(chain, request.id))
        ),
        "dydxprotocol.prices.Query/AllMarketPrices": lambda _: QueryAllMarketPricesResponse(
            market_prices=[_price(chain, market) for market in chain.markets.values()]
        ),
        "dydxprotocol.stats.Query/UserStats": lambda request: _user_stats(chain, request.user),
        "dydxprotocol.subaccounts.Query/Subaccount": lambda request: QuerySubaccountResponse(
            subaccount=_subaccount(chain, SubaccountId(owner=request.owner, number=request.number))
        ),
        "dydxprotocol.subaccounts.Query/SubaccountAll": lambda _: QuerySubaccountAllResponse(
            subaccount=[_subaccount(chain, each) for each in chain.subaccounts()]
        ),
    }


def serializable_int(value: int) -> bytes:
    """A whole number as the chain writes it: sign, then magnitude, most significant byte first."""
    magnitude = abs(value)
    return (_NEGATIVE if value < 0 else _POSITIVE) + magnitude.to_bytes((magnitude.bit_length() + 7) // 8)


def _market(chain: Chain, number: int) -> Market:
    market = chain.markets.get(number)
    if market is None:
        raise NotFoundError(f"{number}: no such market")
    return market


def _balance(chain: Chain, address: str, denom: str) -> Message:
    amount = chain.delivery.banks.get(address, 0) if denom == USDC_DENOM else 0
    return QueryBalanceResponse(balance=Coin(denom=denom, amount=str(amount)))


def _balances(chain: Chain, address: str) -> Message:
    amount = chain.delivery.banks.get(address, 0)
    return QueryAllBalancesResponse(balances=[Coin(denom=USDC_DENOM, amount=str(amount))] if amount else [])


def _previous_block(chain: Chain) -> Message:
    at_ms = chain.last_block.at_ms
    time = Timestamp(seconds=at_ms // 1_000, nanos=at_ms % 1_000 * 1_000_000)
    return QueryPreviousBlockInfoResponse(info=BlockInfo(height=chain.last_block.height, timestamp=time))


def _clob_pair(market: Market) -> ClobPair:
    return ClobPair(
        id=market.clob_pair_id,
        perpetual_clob_metadata=PerpetualClobMetadata(perpetual_id=market.clob_pair_id),
        step_base_quantums=market.step_base_quantums,
        subticks_per_tick=market.subticks_per_tick,
        quantum_conversion_exponent=market.quantum_conversion_exponent,
        status=ClobPair.STATUS_ACTIVE,
    )


def _perpetual(market: Market) -> Perpetual:
    return Perpetual(
        params=PerpetualParams(
            id=market.clob_pair_id,
            ticker=market.ticker,
            market_id=market.clob_pair_id,
            atomic_resolution=market.atomic_resolution,
            market_type=PERPETUAL_MARKET_TYPE_CROSS,
        ),
    )


def _price(chain: Chain, market: Market) -> MarketPrice:
    return MarketPrice(id=market.clob_pair_id, exponent=-_ORACLE_DIGITS, price=chain.oracle_e8(market))


def _equity_tiers() -> Message:
    tiers = [
        EquityTierLimit(usd_tnc_required=serializable_int(equity), limit=limit) for equity, limit in STATEFUL_LIMITS
    ]
    return QueryEquityTierLimitConfigurationResponse(
        equity_tier_limit_config=EquityTierLimitConfiguration(stateful_order_equity_tiers=tiers)
    )


def _fee_tiers() -> Message:
    tiers = [_fee_tier(number, tier) for number, tier in enumerate(MAINNET_TIERS, start=1)]
    return QueryPerpetualFeeParamsResponse(params=PerpetualFeeParams(tiers=tiers))


def _user_fee_tier(chain: Chain, owner: str) -> Message:
    tier = chain.exchange.fee_tier(owner)
    number = MAINNET_TIERS.index(tier)
    return QueryUserFeeTierResponse(index=number, tier=_fee_tier(number + 1, tier))


def _fee_tier(number: int, tier: FeeTier) -> PerpetualFeeTier:
    return PerpetualFeeTier(
        name=str(number),
        absolute_volume_requirement=tier.volume_quote_quantums,
        taker_fee_ppm=tier.taker_ppm,
        maker_fee_ppm=tier.maker_ppm,
    )


def _user_stats(chain: Chain, owner: str) -> Message:
    taker, maker = chain.exchange.volumes(owner)
    return QueryUserStatsResponse(stats=UserStats(taker_notional=taker, maker_notional=maker))


def _subaccount(chain: Chain, subaccount: SubaccountId) -> Subaccount:
    usdc = chain.exchange.usdc(subaccount)
    assets = [AssetPosition(asset_id=USDC_ASSET_ID, quantums=serializable_int(usdc))] if usdc else []
    return Subaccount(
        id=SubaccountMessage(owner=subaccount.owner, number=subaccount.number),
        asset_positions=assets,
        perpetual_positions=[
            PerpetualPosition(perpetual_id=position.clob_pair_id, quantums=serializable_int(position.quantums))
            for position in chain.exchange.positions(subaccount)
        ],
        margin_enabled=True,
    )
