"""Metrics as a Prometheus on this machine reads them."""

import socket
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.errors import EngineError
from live_engine.durations import Durations
from live_engine.exposition import Histogram
from live_engine.metrics import metrics_text
from live_engine.metrics_server import MetricsServer
from tests.execution.made_records import decision, intent
from tests.live_engine.prometheus import read_metrics
from tests.live_engine.statuses import NOW, market, status, stream


def value(families, name, **labels):
    return families[name].samples[name, tuple(sorted(labels.items()))]


def test_everything_of_a_status_is_read_by_a_prometheus_parser():
    families = read_metrics(metrics_text(status(), NOW + timedelta(seconds=2), []))

    assert value(families, "helios_mode", mode="ACTIVE") == 1
    assert value(families, "helios_mode", mode="HALTED") == 0
    assert value(families, "helios_equity_quote") == 100_002.625
    assert value(families, "helios_heartbeat_age_seconds") == 2
    assert value(families, "helios_reconciled_age_seconds") == 14
    assert value(families, "helios_position_base", instrument="BTC-USD-PERP.DYDX") == -0.25
    assert value(families, "helios_stream_age_seconds", stream="blocks", instrument="") == 1.25
    assert value(families, "helios_events_total", event="fills") == 11
    assert value(families, "process_resident_memory_bytes") > 1e6


def test_how_long_decisions_and_orders_took_is_counted_unless_they_were_late():
    durations = Durations()
    end = NOW - timedelta(seconds=60)
    for seconds, late in ((0.0005, False), (0.001, False), (0.0031, False), (40.0, True)):
        decided_at = end + timedelta(seconds=seconds)
        durations.hear(1, replace(decision(0), closed_at=end, decided_at=decided_at, late=late))
    sent = replace(intent("1"), intended_at=end + timedelta(seconds=40))
    durations.hear(2, replace(sent, boundary=end, purpose="entry"))
    durations.hear(3, replace(sent, boundary=end, purpose="stop"))
    durations.hear(4, replace(sent, boundary=None, purpose="flatten"))

    families = read_metrics(metrics_text(None, NOW, durations.histograms))

    decisions = families["helios_bar_to_decision_seconds"].samples
    assert decisions["helios_bar_to_decision_seconds_bucket", (("le", "0.001"),)] == 2
    assert decisions["helios_bar_to_decision_seconds_count", ()] == 3
    assert decisions["helios_bar_to_decision_seconds_sum", ()] == pytest.approx(0.0046)
    orders = families["helios_bar_to_order_seconds"].samples
    assert orders["helios_bar_to_order_seconds_bucket", (("le", "30"),)] == 0
    assert orders["helios_bar_to_order_seconds_bucket", (("le", "+Inf"),)] == 1


def test_a_value_that_is_not_there_is_left_out_not_zero():
    bare = status(
        height=None,
        reconciled_at=None,
        champion=None,
        markets=(market(signal=None),),
        streams=(stream(age_seconds=None),),
    )

    families = read_metrics(metrics_text(bare, NOW, []))

    for name in ("helios_venue_height", "helios_reconciled_age_seconds", "helios_signal", "helios_stream_age_seconds"):
        assert families[name].samples == {}
    assert value(families, "helios_champion") == 0
    assert value(families, "helios_stream_stale", stream="trades", instrument="BTCUSDT-PERP.BINANCE") == 1


@given(name=st.text(), amount=st.floats().map(Decimal), count=st.integers(0, 10**18))
def test_whatever_names_and_numbers_hold_the_text_stays_readable(name, amount, count):
    changed = status(
        counters={name: count}, equity=amount, champion=name, markets=(market(name, quantity=Decimal(count)),)
    )

    families = read_metrics(metrics_text(changed, NOW, []))

    assert value(families, "helios_events_total", event=name) == float(count)
    assert value(families, "helios_position_base", instrument=name) == float(count)


def test_before_the_first_status_the_process_is_measured_already():
    families = read_metrics(metrics_text(None, NOW, []))

    assert set(families) == {
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"
    }  # fmt: skip


@pytest.fixture
def served():
    server = MetricsServer(0, lambda: metrics_text(status(), NOW, []))
    yield server
    server.close()


def test_they_are_served_on_loopback_with_the_content_type_that_names_the_format(served):
    answer = httpx.get(served.url, trust_env=False)

    assert served.url.startswith("http://127.0.0.1:")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "helios_equity_quote" in read_metrics(answer.text)


@pytest.mark.parametrize(
    ("path", "host", "code"),
    [("/metrics", "evil.example.com", 403), ("/", "127.0.0.1", 404), ("/metrics?x=1", "localhost", 200)],
)
def test_another_path_or_the_name_of_another_machine_gets_nothing(served, path, host, code):
    url = served.url.removesuffix("/metrics") + path

    assert httpx.get(url, headers={"Host": host}, trust_env=False).status_code == code


def test_a_client_that_says_nothing_holds_up_no_other(served):
    port = int(served.url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        assert httpx.get(served.url, trust_env=False).status_code == 200


def test_a_port_that_is_taken_is_said(served):
    port = int(served.url.rpartition(":")[2].partition("/")[0])

    with pytest.raises(EngineError, match=f"live.metrics_port: expected a free port of 127.0.0.1, found {port}"):
        MetricsServer(port, lambda: "")


def test_threads_that_observe_at_once_lose_nothing():
    histogram = Histogram("helios_x_seconds", "Something.")
    threads = [threading.Thread(target=lambda: [histogram.observe(0.01) for _ in range(5_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (
        read_metrics("\n".join(histogram.lines()) + "\n")["helios_x_seconds"].samples["helios_x_seconds_count", ()]
        == 20_000
    )
