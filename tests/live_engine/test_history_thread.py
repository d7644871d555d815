import asyncio
import logging
import threading

import pytest

from helios_pipeline.core.errors import DataError
from live_engine.history_thread import HistoryThread
from live_engine.loop_timer import LoopTimer


def test_an_answer_is_told_in_the_loop_and_the_loop_is_not_held_up():
    async def ask():
        thread, told, may_answer = HistoryThread("test"), asyncio.Event(), threading.Event()
        answers = []

        def take(answer):
            answers.append((answer, threading.current_thread() is threading.main_thread()))
            told.set()

        assert thread.ask("it", lambda: may_answer.wait() and 7, take, asyncio.get_running_loop())
        asked_again = thread.ask("it", lambda: 8, take, asyncio.get_running_loop())
        may_answer.set()
        await told.wait()
        thread.close()
        return asked_again, answers

    assert asyncio.run(ask()) == (False, [(7, True)])


def test_a_venue_that_does_not_answer_is_logged_and_may_be_asked_again(caplog):
    async def ask():
        thread, told = HistoryThread("test"), asyncio.Event()

        def refuse():
            raise DataError("no answer")

        loop = asyncio.get_running_loop()
        thread.ask("it", refuse, lambda _: None, loop)
        while not thread.ask("it", lambda: 1, lambda _: told.set(), loop):
            await asyncio.sleep(0)
        await told.wait()
        thread.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(ask())

    assert [record.message for record in caplog.records] == ["history_not_answered"]


def test_after_the_end_nothing_is_asked():
    async def ask():
        thread = HistoryThread("test")
        thread.close()
        return thread.ask("it", lambda: 1, pytest.fail, asyncio.get_running_loop())

    assert asyncio.run(ask()) is False


def test_a_timer_goes_on_after_an_error_until_it_is_stopped():
    async def run():
        loop, errors, calls, enough = asyncio.get_running_loop(), [], [], asyncio.Event()
        loop.set_exception_handler(lambda _, context: errors.append(str(context["exception"])))

        def call():
            calls.append(threading.current_thread() is threading.main_thread())
            if len(calls) == 1:
                raise ValueError("once")
            if len(calls) == 3:
                timer.stop()
                enough.set()

        timer = LoopTimer(0.001, call)
        timer.start()
        await enough.wait()
        await asyncio.sleep(0.01)
        return calls, errors

    assert asyncio.run(run()) == ([True] * 3, ["once"])
