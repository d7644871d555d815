"""Decisions made again on the account that the journal's fills give, not on what the strategy remembered of it.

Position, cooldown, exits under way and equity are folded from fills, payments and earlier decisions; so this finds a
strategy that forgot or mistook something, where `replay_decisions` only finds one that computes otherwise. What no fill
tells stays as recorded: features and closes, whether it was late or blocked, the kill switch, the champion.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from helios_pipeline.core.trading import (
    Decision,
    FundingPayment,
    Intent,
    JournalRecord,
    OrderEvent,
    Transfer,
    VenueFill,
)
from helios_pipeline.execution.decision_records import decision_records, nanoseconds, quanta
from helios_pipeline.execution.orders import Orders
from helios_pipeline.execution.replay import Replay, TermsOf, features_of, newest_terms, refusal_of, together
from helios_pipeline.execution.restore import Cooldown, MarketFold
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.boundary import MarketView, decide_markets
from helios_pipeline.strategy.desk import BoundaryDecision
from helios_pipeline.strategy.signal import MarketState

COMPARED = (
    *("position_side", "position_lots", "bars_held", "may_enter", "leaving"),
    *("equity", "gross_kept", "open_kept", "wanted", "outcome", "lots"),
)


class AccountFold:
    """An account record by record: what each market holds and is about to hold, its last close, and the cash.

    Args:
        markets: of the strategy.
        cooldown: of the champions that were traded.
    """

    def __init__(self, markets: Sequence[TradedMarket], cooldown: Cooldown) -> None:
        self.markets = tuple(markets)
        self.folds = tuple(MarketFold(market, cooldown) for market in markets)
        self.closes: dict[str, Decimal] = {}
        self._orders = Orders()
        self._quote_balance = Decimal(0)
        self._quantities: dict[str, Decimal] = {}

    def take(self, record: JournalRecord) -> None:
        """Fold the next record."""
        for fold in self.folds:
            fold.take(record)
        match record:
            case FundingPayment() | Transfer():
                self._quote_balance += record.amount
            case VenueFill():
                self._take_fill(record)
            case Intent():
                self._orders.intend(record)
            case OrderEvent():
                self._orders.tell(record)
            case _:
                pass  # moves neither cash nor orders

    def pending_lots(self, market: TradedMarket) -> int:
        """Lots of the newest entry, where it may still be filled."""
        live = [
            line for line in self._orders.live(market.instrument_id) if line.intent and line.intent.purpose == "entry"
        ]
        return int(live[-1].remaining // market.lot) if live else 0

    def _take_fill(self, fill: VenueFill) -> None:
        self._quote_balance -= fill.side * fill.quantity * fill.price + fill.fee
        held = self._quantities.get(fill.instrument_id, Decimal(0))
        self._quantities[fill.instrument_id] = held + fill.side * fill.quantity
        if fill.client_order_id is not None:
            self._orders.fill(fill.client_order_id, fill)

    def equity(self) -> Decimal:
        """Cash, and what is held at the last closes."""
        held = (quantity * self.closes[name] for name, quantity in self._quantities.items() if quantity)
        return self._quote_balance + sum(held, start=Decimal(0))


def backtest_decisions(
    records: Iterable[JournalRecord], markets: Sequence[TradedMarket], terms_of: TermsOf, interval: timedelta
) -> Replay:
    """Decide again wherever a decision was recorded, and compare state, account and outcome.

    Args:
        records: the whole journal, in its order.
        markets: in the strategy's order.
        terms_of: of every champion that was traded.
        interval: length of a bar.
    """
    told = list(records)
    groups = {id(group[0]): group for group in together(each for each in told if isinstance(each, Decision))}

    def cooldown(manifest_hash: str) -> int:
        terms = terms_of(manifest_hash) if manifest_hash else None
        return 0 if terms is None else terms.parameters.cooldown_bars * _nanoseconds(interval)

    account = AccountFold(markets, cooldown)
    count = equal = 0
    differences: list[str] = []
    for record in told:
        if id(record) in groups:
            group = groups[id(record)]
            found = list(_differences(group, _again(group, account, terms_of, interval)))
            count, equal = count + len(group), equal + len(group) - len(found)
            differences += found
        account.take(record)
    return Replay(decisions=count, equal=equal, differences=tuple(differences))


def _again(
    group: Sequence[Decision], account: AccountFold, terms_of: TermsOf, interval: timedelta
) -> Mapping[str, Decision]:
    """The decisions of one moment, made again."""
    by_id = {decision.instrument_id: decision for decision in group}
    account.closes |= {each.instrument_id: each.close for each in group if each.close is not None}
    boundary = nanoseconds(group[0].closed_at)
    ordered = [by_id.get(market.instrument_id) for market in account.markets]
    views = [
        _view(account, m, recorded, terms_of, (boundary, _nanoseconds(interval))) for m, recorded in enumerate(ordered)
    ]
    features = features_of(ordered)
    decided = decide_markets(views, features, quanta(account.equity()), newest_terms(group, terms_of))
    remade = BoundaryDecision(
        closed_at=boundary,
        decided_at=nanoseconds(group[0].decided_at),
        features=features,
        closes=tuple(view.close_ticks for view in views),
        account=decided.account,
        mode=group[0].mode,
        late=group[0].late,
        markets=decided.markets,
    )
    made = decision_records(remade, account.markets, group[0].account, interval)
    return {decision.instrument_id: decision for decision in made}


def _view(
    account: AccountFold, m: int, recorded: Decision | None, terms_of: TermsOf, clock: tuple[int, int]
) -> MarketView:
    market, left = account.markets[m], account.folds[m].restored
    holding, (boundary, interval_ns) = left.holding, clock
    manifest_hash = left.manifest_hash if recorded is None else recorded.manifest_hash
    terms = terms_of(manifest_hash) if manifest_hash else None
    bars_held = (boundary - holding.entered_at) // interval_ns if holding.side else 0
    return MarketView(
        state=MarketState(holding.side, bars_held, boundary > holding.enter_after),
        lots=holding.lots,
        leaving=holding.leaving,
        pending_lots=account.pending_lots(market),
        close_ticks=int(account.closes.get(market.instrument_id, Decimal(0)) // market.signal_tick),
        lot_value=0 if terms is None else int(terms.contracts[m]["quanta_per_tick_lot"]),
        manifest_hash=manifest_hash,
        rule=None if terms is None else terms.rule,
        stop_atr=0.0 if terms is None else terms.parameters.stop_atr,
        due=recorded is not None,
        has_bar=recorded is not None and recorded.close is not None,
        quoted=recorded is None or recorded.outcome != "cancelled",
        refusal="" if recorded is None else refusal_of(recorded),
    )


def _differences(group: Sequence[Decision], again: Mapping[str, Decision]) -> Iterator[str]:
    for recorded in group:
        made = again.get(recorded.instrument_id)
        where = f"{recorded.instrument_id} at {recorded.closed_at}"
        if made is None:
            yield f"{where}: expected an instrument of the strategy, found another"
            continue
        pairs = ((name, getattr(recorded, name), getattr(made, name)) for name in COMPARED)
        found = [f"{name} recorded {was}, again {now}" for name, was, now in pairs if was != now]
        if found:
            yield f"{where}: {'; '.join(found)}"


def _nanoseconds(interval: timedelta) -> int:
    return interval // timedelta(microseconds=1) * 1000
