"""Accounts of the chain as signers: their numbers, and what keeps a transaction from being used twice."""

from bisect import insort
from dataclasses import dataclass, field

from simulated_venues.dydx.refusals import Reason, Refused

FIRST_TIMESTAMP_NONCE = 1 << 40
"""From here on a sequence is a time in milliseconds (v4-chain, x/accountplus/keeper/timestampnonce.go)."""

NONCE_WINDOW_MS = 30_000
MAX_NONCES = 20


@dataclass(slots=True, kw_only=True)
class Signer:
    """One account.

    Attributes:
        number: given when the chain first saw the address; part of what is signed.
        sequence: transactions with a sequence that are in blocks.
        nonces: times that were used in place of a sequence, the latest `MAX_NONCES`, in order.
        ejected_nonce: no time up to this one is taken any more.
        owed_usdc: what its subaccount 0 gets in the next block.
        owed_to: what its other subaccounts get then, USDC by their number.
        public_key: 33 bytes, known from its first transaction on; empty before.
    """

    address: str
    number: int
    sequence: int = 0
    nonces: list[int] = field(default_factory=list)
    ejected_nonce: int = 0
    owed_usdc: int = 0
    owed_to: dict[int, int] = field(default_factory=dict)
    public_key: bytes = b""

    @property
    def owed(self) -> dict[int, int]:
        """USDC that its subaccounts get in the next block, by their number."""
        return ({0: self.owed_usdc} if self.owed_usdc else {}) | self.owed_to


@dataclass(slots=True)
class Signers:
    """All accounts, and the sequences that transactions use which wait for a block.

    Attributes:
        changed: addresses whose record has to be written with the next block.
    """

    by_address: dict[str, Signer] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    _waiting: dict[str, int] = field(default_factory=dict)
    _owed: set[str] = field(init=False)
    _new: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._owed = {signer.address for signer in self.by_address.values() if signer.owed}

    def open(self, address: str) -> Signer:
        """The account of an address; it comes into being."""
        if address not in self.by_address:
            self.by_address[address] = Signer(address=address, number=len(self.by_address))
            self._new.append(address)
        return self.by_address[address]

    def check(self, address: str, sequence: int, block_ms: int) -> None:
        """Refuse a sequence that a transaction can't have now.

        Args:
            address: who signed.
            sequence: what was signed.
            block_ms: time of the last block.

        Raises:
            Refused: it is not the next one, or the time was used or is outside the window.
        """
        signer = self.open(address)
        if sequence >= FIRST_TIMESTAMP_NONCE:
            _check_nonce(signer, sequence, block_ms)
            return
        expected = signer.sequence + self._waiting.get(address, 0)
        if sequence != expected:
            raise Refused(Reason.WRONG_SEQUENCE, f"account sequence mismatch, expected {expected}, got {sequence}")

    def use(self, address: str, sequence: int) -> None:
        """Take a sequence that was checked, for a transaction that enters the mempool."""
        if sequence < FIRST_TIMESTAMP_NONCE:
            self._waiting[address] = self._waiting.get(address, 0) + 1
            return
        signer = self.by_address[address]
        if len(signer.nonces) >= MAX_NONCES:
            signer.ejected_nonce = signer.nonces.pop(0)
        insort(signer.nonces, sequence)
        self.changed.add(address)

    def learn_key(self, address: str, public_key: bytes) -> None:
        """Note the key that a transaction was proven with."""
        signer = self.by_address[address]
        if signer.public_key != public_key:
            signer.public_key = public_key
            self.changed.add(address)

    def owed(self) -> list[Signer]:
        """Accounts that wait for a deposit, by address."""
        return [self.by_address[address] for address in sorted(self._owed)]

    def owe(self, address: str, usdc: int, number: int = 0) -> None:
        """Promise a deposit to a subaccount of an account that is open."""
        signer = self.by_address[address]
        if number:
            signer.owed_to[number] = signer.owed_to.get(number, 0) + usdc
        else:
            signer.owed_usdc += usdc
        self._owed.add(address)
        self.changed.add(address)

    def pay(self, address: str) -> None:
        """The promised deposits are made."""
        signer = self.by_address[address]
        signer.owed_usdc = 0
        signer.owed_to.clear()
        self._owed.discard(address)
        self.changed.add(address)

    def take_new(self) -> tuple[Signer, ...]:
        """Accounts that came into being since this was last asked."""
        new = tuple(self.by_address[address] for address in self._new)
        self._new.clear()
        return new

    def take_changed(self) -> tuple[Signer, ...]:
        """Accounts that changed since this was last asked."""
        changed = tuple(self.by_address[address] for address in sorted(self.changed))
        self.changed.clear()
        return changed

    def include(self, address: str, sequence: int) -> None:
        """Count a transaction that is now in a block."""
        if sequence < FIRST_TIMESTAMP_NONCE:
            signer = self.by_address[address]
            # It may have been bumped while the transaction waited.
            signer.sequence = max(signer.sequence, sequence + 1)
        self.changed.add(address)

    def forget_waiting(self) -> None:
        """After a block, which takes all that waits: nothing uses a sequence beyond the committed ones."""
        self._waiting.clear()

    def bump(self, address: str, steps: int) -> None:
        """Let the committed sequence grow as if another signer had been at work."""
        self.open(address).sequence += steps
        self.changed.add(address)


def _check_nonce(signer: Signer, nonce: int, block_ms: int) -> None:
    if not block_ms - NONCE_WINDOW_MS <= nonce <= block_ms + NONCE_WINDOW_MS:
        raise Refused(Reason.WRONG_SEQUENCE, f"timestamp nonce {nonce} not within valid time window")
    is_old = nonce <= signer.ejected_nonce or (len(signer.nonces) >= MAX_NONCES and nonce <= signer.nonces[0])
    if is_old or nonce in signer.nonces:
        raise Refused(Reason.WRONG_SEQUENCE, f"timestamp nonce {nonce} rejected")
