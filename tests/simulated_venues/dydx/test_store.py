import signal
import subprocess
import sys
import textwrap

import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues.dydx.records import BalanceChanged, Moment, Position, SubaccountId
from simulated_venues.dydx.signers import Signer
from simulated_venues.dydx.state import Balance, Change, House
from simulated_venues.dydx.store import CommittedBlock, Store, TransactionResult

ABOUT = {"chain id": "dydx-mainnet-1", "market": "simulated seed 7"}
OWNER = SubaccountId(owner="dydx1owner", number=3)
FIRST, SECOND = Moment(height=10, at_ms=1_000), Moment(height=11, at_ms=2_000)


def block(moment, amount=5, **changes):
    usual = {
        "moment": moment,
        "events": (BalanceChanged(subaccount=OWNER, quote_quantums=amount, moment=moment),),
        "banks": {"dydx1owner": amount},
        "changes": (
            Change(table="balances", key="dydx1owner/3", row=Balance(holder=OWNER, quote_quantums=amount)),
            Change(table="balances", key="outside", row=Balance(holder=House.OUTSIDE, quote_quantums=-amount)),
        ),
    }
    return CommittedBlock(**{**usual, **changes})


@pytest.fixture(name="store")
def store_fixture(tmp_path):
    store = Store(tmp_path, ABOUT)
    yield store
    store.close()


def reopened(store, folder):
    store.close()
    return Store(folder, ABOUT)


def test_a_block_comes_back_as_it_was_written(store, tmp_path):
    position = Position(
        position_id="p",
        subaccount=OWNER,
        clob_pair_id=0,
        quantums=-5,
        max_quantums=-5,
        open_quantums=5,
        open_quote_quantums=7,
        close_quantums=0,
        close_quote_quantums=0,
        funding_quote_quantums=0,
        opened=FIRST,
        closed=None,
    )
    result = TransactionResult(hash="AB", raw=b"\x01", moment=FIRST, code=5, codespace="sdk", log="no", gas_used=9)
    signer = Signer(address="dydx1owner", number=0, sequence=4, nonces=[9, 12], ejected_nonce=3, owed_usdc=1)
    changes = (*block(FIRST).changes, Change(table="positions", key="dydx1owner/3/0", row=position))

    store.commit(block(FIRST, changes=changes, results=(result,), signers=(signer,)))
    again = reopened(store, tmp_path)

    assert again.last_block() == again.block(10) == FIRST
    assert list(again.moments()) == [FIRST]
    assert list(again.events()) == [(FIRST, list(block(FIRST).events))]
    assert {row for _, row in again.rows()} == {change.row for change in changes}
    assert again.signers() == {"dydx1owner": signer}
    assert again.banks() == {"dydx1owner": 5}
    assert again.result("AB") == result
    assert again.result("CD") is None
    again.close()


def test_a_row_that_is_gone_does_not_come_back(store):
    store.commit(block(FIRST))
    store.commit(block(SECOND, changes=(Change(table="balances", key="outside", row=None),)))

    assert [row.holder for _, row in store.rows()] == [OWNER]


def test_a_process_killed_inside_a_block_leaves_the_block_before(tmp_path):
    code = """
        import os, signal, sys
        from pathlib import Path
        from simulated_venues.dydx.state import Balance, Change, House
        from simulated_venues.dydx.store import Store
        from tests.simulated_venues.dydx.test_store import ABOUT, FIRST, SECOND, block

        def dying():
            yield Change(table="balances", key="outside", row=Balance(holder=House.OUTSIDE, quote_quantums=-99))
            os.kill(os.getpid(), signal.SIGKILL)

        store = Store(Path(sys.argv[1]), ABOUT)
        store.commit(block(FIRST))
        store.commit(block(SECOND, amount=99, changes=dying()))
    """

    died = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=False)
    store = Store(tmp_path, ABOUT)

    assert died.returncode == -signal.SIGKILL
    assert store.last_block() == FIRST
    assert [moment for moment, _ in store.events()] == [FIRST]
    assert sum(row.quote_quantums for _, row in store.rows()) == 0
    assert store.banks() == {"dydx1owner": 5}
    store.commit(block(SECOND))
    store.close()


def test_a_block_that_fails_half_way_leaves_nothing(store):
    store.commit(block(FIRST))

    with pytest.raises(ZeroDivisionError):
        store.commit(block(SECOND, changes=(1 / zero for zero in (0,))))

    assert store.last_block() == FIRST
    assert len(list(store.events())) == 1


@pytest.mark.parametrize("other", [{"chain id": "dydx-testnet-4"}, {"market": "simulated seed 8"}])
def test_the_state_of_another_chain_or_market_is_refused(store, tmp_path, other):
    store.close()

    with pytest.raises(SimulationError, match=r"expected the state of .* found that of .*Choose another state folder"):
        Store(tmp_path, {**ABOUT, **other})

    Store(tmp_path, ABOUT).close()


def test_two_stores_never_share_a_folder(store, tmp_path):
    with pytest.raises(SimulationError, match=r"expected it to be free, found it in use by process \d+"):
        Store(tmp_path, ABOUT)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "chain.sqlite").write_bytes(b"something else entirely, long enough to be a page" * 40)

    with pytest.raises(SimulationError, match="expected a database of a simulated chain"):
        Store(tmp_path, ABOUT)
