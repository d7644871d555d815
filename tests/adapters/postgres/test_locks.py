import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from helios_pipeline.adapters.postgres.guard import interpreter_environment
from helios_pipeline.adapters.postgres.locks import lock_key, partition_lock
from helios_pipeline.core.errors import DatabaseError


@pytest.fixture
def holder(database_url):
    """Another process that holds two partitions of bars_15m."""
    script = Path(__file__).with_name("partition_holder.py").read_text()
    process = subprocess.Popen(
        [sys.executable, "-c", script, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=interpreter_environment(),
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_held_partition_is_waited_for_and_its_holder_named(database_url, holder):
    waiting = []

    def end_holder(line: str) -> None:
        waiting.append(line)
        holder.stdin.close()

    with partition_lock(database_url, "bars_15m", "2024-02", on_wait=end_holder):
        assert holder.wait(30) == 0

    assert waiting == [f"waiting for bars_15m 2024-02, held by helios process {holder.pid}"]


def test_a_killed_holder_lets_go(database_url, holder):
    with partition_lock(database_url, "bars_15m", "2024-01", on_wait=lambda _: holder.kill()):
        assert holder.wait(30) != 0


def test_other_partitions_and_assets_are_free(database_url, holder):
    waiting = []

    with (
        partition_lock(database_url, "bars_15m", "2024-03", on_wait=waiting.append),
        partition_lock(database_url, "raw_klines", "2024-01", on_wait=waiting.append),
        partition_lock(database_url, "walk_forward_report", on_wait=waiting.append),
    ):
        pass

    assert waiting == []


def test_two_that_name_their_partitions_in_opposite_order_do_not_block_each_other(database_url):
    done = []

    def hold(*partitions: str) -> None:
        for _ in range(5):
            with partition_lock(database_url, "bars_15m", *partitions):
                done.append(partitions)

    threads = [threading.Thread(target=hold, args=order) for order in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(done) == 10


def test_an_error_inside_passes_and_frees_the_partition(database_url):
    with pytest.raises(ZeroDivisionError), partition_lock(database_url, "bars_15m", "2024-01"):
        raise ZeroDivisionError

    waiting = []
    with partition_lock(database_url, "bars_15m", "2024-01", on_wait=waiting.append):
        assert waiting == []


def test_a_lock_lost_in_between_is_told(database, database_url):
    with (
        pytest.raises(DatabaseError, match="expected to hold it to the end"),
        partition_lock(database_url, "bars_15m", "2024-01"),
        psycopg.connect(database.urls.owner) as connection,
    ):
        connection.execute(
            "select pg_terminate_backend(pid, 30000) from pg_locks where locktype = 'advisory' and granted"
        )


def test_keys_of_different_partitions_differ():
    assert len({lock_key("a", "b"), lock_key("ab", ""), lock_key("", "ab"), lock_key("a\0b", "")}) >= 3
