"""Where timers call back."""

import asyncio
import threading

from nautilus_trader.common.component import LiveClock, TestClock

from helios_pipeline.strategy.same_thread import same_thread

SOON_NS = 1_000_000


def test_a_live_timer_calls_back_in_the_thread_and_loop_that_set_it():
    async def told():
        done = asyncio.get_running_loop().create_future()
        clock = LiveClock()
        heard = same_thread(lambda _: done.set_result((threading.get_ident(), asyncio.get_running_loop())))
        clock.set_time_alert_ns("soon", clock.timestamp_ns() + SOON_NS, heard)
        assert await asyncio.wait_for(done, 20.0) == (threading.get_ident(), asyncio.get_running_loop())

    asyncio.run(told())


def test_without_a_loop_the_handler_is_called_as_it_is():
    def heard(_):
        pass

    assert same_thread(heard) is heard


def test_a_backtest_clock_calls_it_at_its_time():
    clock, told = TestClock(), []
    clock.set_time_alert_ns("at", SOON_NS, same_thread(lambda event: told.append(event.ts_event)))
    for handler in clock.advance_time(2 * SOON_NS):
        handler.handle()

    assert told == [SOON_NS]
