"""The chain: transactions wait in the mempool for the next block, and what a block does is committed all at once.

A block is made every `block_ms` of the wall clock. It is written to disk before anybody hears of it, so what a client
was told stays true whenever the process dies. While the chain is away or halted its height stands still; the first
block afterwards goes through the time that was missed.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from helios_pipeline.core.errors import SimulationError
from simulated_venues.clock import VenueClock
from simulated_venues.dydx.block import PPM, Tampering
from simulated_venues.dydx.delivery import Delivery, gas_of
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.mempool import Mempool
from simulated_venues.dydx.records import (
    Background,
    Event,
    Market,
    Moment,
    OrderChanged,
    SubaccountId,
)
from simulated_venues.dydx.refusals import Refused
from simulated_venues.dydx.settings import DydxSettings
from simulated_venues.dydx.signers import Signer, Signers
from simulated_venues.dydx.state import Balance
from simulated_venues.dydx.store import CommittedBlock, Store, TransactionResult
from simulated_venues.dydx.transactions import is_address, transaction_hash
from simulated_venues.faults import Faults

FIRST_HEIGHT = 60_000_000
"""Of a new chain: as high as the venue was at the end of 2025, so that its markets' past has heights too."""

QUANTUMS_PER_USDC = 1_000_000


class Audience(Protocol):
    """Who hears of the chain: the indexer."""

    def commit(self, moment: Moment, events: Sequence[Event], oracles: dict[str, int]) -> None:
        """A block is committed; `oracles` are prices in 1e-8 USDC by ticker that are not the background's own."""

    def tell(self, change: OrderChanged) -> None:
        """A validator has an order's new status before its block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a client is answered to a broadcast: code 0 if the transaction waits for a block now."""

    hash: str
    code: int = 0
    codespace: str = ""
    log: str = ""


@dataclass(slots=True)
class Chain:
    """The accounts of a venue, from block to block.

    Attributes:
        settings: chain id, time between blocks, deposits.
        clock, faults: the venue's.
        background: the market around the accounts, as faults let it be seen.
        exchange: filled again from the store.
        store: open.
        audience: hears of blocks after they are committed.
        last_block: the last committed one; before the first, the moment at which the chain was made.
        failure: why no block is made any more; None as long as all is well.
    """

    settings: DydxSettings
    clock: VenueClock
    faults: Faults
    background: Background
    exchange: Exchange
    store: Store
    audience: Audience
    last_block: Moment = field(init=False)
    signers: Signers = field(init=False)
    delivery: Delivery = field(init=False)
    mempool: Mempool = field(init=False)
    failure: str | None = None
    transactions: int = 0
    _oracles: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signers = Signers(self.store.signers())
        self.exchange.restore(row for _, row in self.store.rows())
        self.delivery = Delivery(self.exchange, self.signers, self.faults, self.store.banks())
        self.mempool = Mempool(
            chain_id=self.settings.chain_id,
            exchange=self.exchange,
            signers=self.signers,
            faults=self.faults,
            open_account=self.open_account,
            tell=self.audience.tell,
        )
        self.last_block = self.store.last_block() or Moment(
            height=FIRST_HEIGHT - 1, at_ms=self.clock.now_ms() - self.settings.block_ms
        )
        for address, _ in self.settings.deposits:
            if not is_address(address):
                raise SimulationError(f"simulated dYdX: expected dydx addresses in deposits, found {address!r}.")
            self.open_account(address)

    @property
    def markets(self) -> dict[int, Market]:
        """What trades, by CLOB pair id."""
        return self.exchange.markets

    def broadcast(self, raw: bytes) -> Checked:
        """Check a transaction and let it wait for the next block."""
        name = transaction_hash(raw)
        if self.failure is not None:
            return Checked(hash=name, code=1, codespace="undefined", log=f"internal: {self.failure}")
        try:
            self.mempool.admit(raw, self.last_block)
        except Refused as refused:
            return Checked(hash=name, code=refused.code, codespace=refused.codespace, log=refused.log)
        finally:
            self._keep_signers()
        self.transactions += 1
        return Checked(hash=name)

    def simulate(self, raw: bytes) -> int:
        """Gas that a transaction would use.

        Raises:
            Refused: it would be refused, its signature aside.
        """
        return gas_of(self.mempool.check(raw, self.last_block))

    def open_account(self, address: str) -> Signer:
        """The account of an address; a new one is promised its deposit."""
        if address not in self.signers.by_address:
            self.signers.open(address)
            usdc = dict(self.settings.deposits).get(address, self.settings.default_deposit_usdc)
            if usdc:
                self.signers.owe(address, usdc)
            self._keep_signers()
        return self.signers.by_address[address]

    def deposit(self, subaccount: SubaccountId, usdc: int) -> None:
        """Let money come from outside in the next block; a restart before it changes nothing."""
        signer = self.open_account(subaccount.owner)
        self.signers.owe(signer.address, usdc, subaccount.number)
        self.store.write_signer(signer)

    def subaccounts(self) -> list[SubaccountId]:
        """Subaccounts that ever had money, by owner and number."""
        found = [row.holder for row in self.exchange.state() if isinstance(row, Balance)]
        known = [holder for holder in found if isinstance(holder, SubaccountId)]
        return sorted(known, key=lambda each: (each.owner, each.number))

    def oracle_e8(self, market: Market) -> int:
        """Oracle price of the last block."""
        jumped = self._oracles.get(market.ticker)
        return self.background.oracle_e8(market, self.last_block.at_ms) if jumped is None else jumped

    async def run(self) -> None:
        """Make blocks until it is cancelled; what goes wrong stops the chain and is its `failure`."""
        interval = self.settings.block_ms / 1_000
        due = asyncio.get_running_loop().time()
        while True:
            due = max(due + interval, asyncio.get_running_loop().time())
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if self.faults.active("halt_chain"):
                continue
            try:
                self.make_block()
            except Exception as error:
                self.failure = f"{type(error).__name__}: {error}"
                raise

    def make_block(self) -> Moment:
        """Make and commit one block."""
        moment = Moment(height=self.last_block.height + 1, at_ms=max(self.clock.now_ms(), self.last_block.at_ms + 1))
        tampering = self._tampering()
        waiting, told = self.mempool.take(), frozenset(self.mempool.told)
        events = self.exchange.begin_block(self.last_block, moment, tampering)
        events += self._pay(moment)
        results = list[TransactionResult]()
        for transaction in waiting:
            happened, result = self.delivery.deliver(transaction, moment)
            events += happened
            results += [result] if result is not None else []
        self.store.commit(
            CommittedBlock(
                moment=moment,
                events=tuple(events),
                results=tuple(results),
                signers=self.signers.take_changed(),
                banks=self.delivery.take_banks(),
                changes=tuple(self.exchange.take_changes()),
            )
        )
        self._commit(moment, tampering)
        self.mempool.told.clear()
        self.audience.commit(moment, [event for event in events if not _is_told(event, told)], self._oracles)
        return moment

    def _commit(self, moment: Moment, tampering: Tampering) -> None:
        """The block is on disk: from here on it is what everybody sees."""
        self.last_block = moment
        self.signers.forget_waiting()
        self._oracles = {
            market.ticker: max(1, self.background.oracle_e8(market, moment.at_ms) * factor // PPM)
            for market in self.markets.values()
            if (factor := tampering.oracle_ppm.get(market.ticker)) is not None
        }

    def _pay(self, moment: Moment) -> list[Event]:
        """Deposits that are due."""
        events = list[Event]()
        for signer in self.signers.owed():
            for number, usdc in signer.owed.items():
                subaccount = SubaccountId(owner=signer.address, number=number)
                events += self._deposit(subaccount, usdc * QUANTUMS_PER_USDC, moment)
            self.signers.pay(signer.address)
        return events

    def _deposit(self, subaccount: SubaccountId, quote_quantums: int, moment: Moment) -> list[Event]:
        name = f"deposit {moment.height} {subaccount.owner} {subaccount.number} {quote_quantums}"
        digest = hashlib.sha256(name.encode()).hexdigest().upper()
        return self.exchange.deposit(subaccount, quote_quantums, moment, digest)

    def _tampering(self) -> Tampering:
        """What faults do to the next block."""
        oracles = dict[str, int]()
        for market in self.markets.values():
            jump = self.faults.active("oracle_jump", market.ticker)
            if jump:
                oracles[market.ticker] = max(0, round((1 + jump.value) * PPM))
        return Tampering(fill_ppm=self._fill_parts(), oracle_ppm=oracles)

    def _fill_parts(self) -> Callable[[str], int | None]:
        """Which part of a match a fault leaves: it strikes a block, or does not, with the first match of a market."""
        drawn = dict[str, int | None]()

        def fill_ppm(ticker: str) -> int | None:
            if ticker not in drawn:
                fault = self.faults.take("partial_fills", ticker)
                drawn[ticker] = round(fault.value * PPM) if fault else None
            return drawn[ticker]

        return fill_ppm

    def _keep_signers(self) -> None:
        """Write new accounts before anybody is told of them."""
        for signer in self.signers.take_new():
            self.store.write_signer(signer)


def _is_told(event: Event, told: frozenset[tuple[object, object]]) -> bool:
    """Whether the audience has heard this before the block."""
    return isinstance(event, OrderChanged) and not event.on_chain and (event.order.order_id, event.status) in told
