"""Every alert arrives, whatever the receiver does and however the sender dies."""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest

from helios_pipeline.adapters.webhook.address import Webhook
from helios_pipeline.adapters.webhook.messages import signature
from helios_pipeline.adapters.webhook.outbox import Outbox
from helios_pipeline.adapters.webhook.sender import Sender
from tests.adapters.webhook.alerts import alert
from tests.adapters.webhook.receiver import Receiver

SECRET = "a-shared-secret"


@pytest.fixture
def receiver():
    made = Receiver().start()
    yield made
    made.stop()


@pytest.fixture
def outbox(tmp_path):
    return Outbox.open(tmp_path / "outbox")


@contextlib.contextmanager
def sending(outbox, receiver, **changes):
    """A sender in a thread of its own, with short waits."""
    webhook = Webhook(url=receiver.url, secret=SECRET, format="helios")
    short = {"attempt_seconds": 0.5, "first_backoff_seconds": 0.05, "longest_backoff_seconds": 0.2}
    loop = asyncio.new_event_loop()
    sender = Sender(outbox, webhook, **(short | changes))
    task = loop.create_task(sender.run())

    def run():
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda new: loop.call_soon_threadsafe(sender.post, new)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def await_empty(outbox, seconds=30.0):
    deadline = time.monotonic() + seconds
    while outbox.waiting():
        assert time.monotonic() < deadline, outbox.waiting()
        time.sleep(0.005)


def verify(received):
    """The alert's id, after checking that the request is ours."""
    headers = received.headers
    assert headers["Helios-Signature"] == signature(SECRET, int(headers["Helios-Timestamp"]), received.body)
    assert abs(time.time() - int(headers["Helios-Timestamp"])) < 120
    assert json.loads(received.body)["alert_id"] == headers["Helios-Alert-Id"]
    return headers["Helios-Alert-Id"]


def test_what_waits_is_sent_in_order_and_what_comes_later_at_once(outbox, receiver):
    outbox.put(alert(1))
    outbox.put(alert(2))
    with sending(outbox, receiver) as post:
        receiver.await_requests(2)
        post(alert(3))
        requests = receiver.await_requests(3)
        await_empty(outbox)

    assert [verify(each) for each in requests] == [f"{number:032x}" for number in (1, 2, 3)]


def test_an_error_of_the_receiver_is_waited_out_with_longer_and_longer_pauses(outbox, receiver):
    receiver.answers.extend([500, 503, 429, "cut", "hang"])
    outbox.put(alert(1))
    with sending(outbox, receiver):
        requests = receiver.await_requests(6)
        await_empty(outbox)

    assert {verify(each) for each in requests} == {f"{1:032x}"}
    pauses = [later.at - earlier.at for earlier, later in pairwise(requests)]
    assert pauses[0] >= 0.04
    assert pauses[1] >= 0.08
    assert pauses[2] >= 0.15


def test_a_receiver_that_asks_for_a_pause_gets_it(outbox, receiver):
    receiver.answers.append(429)
    receiver.retry_after = "1"
    outbox.put(alert(1))
    with sending(outbox, receiver):
        first, second = receiver.await_requests(2)

    assert second.at - first.at >= 1.0


def test_an_alert_that_is_refused_holds_up_no_other_and_is_tried_again(outbox, receiver):
    receiver.answers.append(400)
    outbox.put(alert(1))
    outbox.put(alert(2))
    with sending(outbox, receiver):
        requests = receiver.await_requests(3)
        await_empty(outbox)

    assert [verify(each) for each in requests] == [f"{number:032x}" for number in (1, 2, 1)]


def test_a_redirect_is_not_followed_to_where_the_alert_was_not_meant_to_go(outbox, receiver):
    receiver.answers.append(307)
    outbox.put(alert(1))
    with sending(outbox, receiver):
        requests = receiver.await_requests(2)

    assert [each.answered for each in requests] == [307, 200]


def test_a_receiver_that_is_away_gets_everything_when_it_is_back(outbox):
    receiver = Receiver().start()
    receiver.stop()
    for number in (1, 2, 3):
        outbox.put(alert(number))
    with sending(outbox, receiver):
        assert not receiver.received
        receiver.start()
        try:
            requests = receiver.await_requests(3)
            await_empty(outbox)
        finally:
            receiver.stop()

    assert [verify(each) for each in requests] == [f"{number:032x}" for number in (1, 2, 3)]


def test_neither_address_nor_secret_is_logged_when_nothing_goes_out(outbox, caplog):
    receiver = Receiver().start()
    receiver.stop()
    outbox.put(alert(1))
    with sending(outbox, receiver):
        deadline = time.monotonic() + 30
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)

    said = " ".join(str(vars(record)) for record in caplog.records)
    assert "alert not delivered yet" in said
    assert "/in/alerts" not in said
    assert SECRET not in said


PROGRAM = """
import asyncio, sys
from pathlib import Path
from helios_pipeline.adapters.webhook.address import Webhook
from helios_pipeline.adapters.webhook.outbox import Outbox
from helios_pipeline.adapters.webhook.sender import Sender
from tests.adapters.webhook.alerts import alert

async def main(folder, url, first):
    outbox = Outbox.open(Path(folder))
    webhook = Webhook(url=url, secret="a-shared-secret", format="helios")
    sender = Sender(outbox, webhook, attempt_seconds=0.3, first_backoff_seconds=0.01, longest_backoff_seconds=0.05)
    task = asyncio.create_task(sender.run())
    number = first
    while True:
        sender.post(alert(number))
        print(number, flush=True)
        number += 1
        await asyncio.sleep(0.003)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def test_a_sender_that_is_killed_at_random_moments_loses_none_and_a_duplicate_has_the_same_id(tmp_path, receiver):
    chance = random.Random(7)
    receiver.answers.extend(chance.choices([200, 200, 200, 500, 429, "cut", "hang", 404], k=400))
    folder, put = tmp_path / "outbox", []
    for _ in range(6):
        command = [sys.executable, "-c", PROGRAM, str(folder), receiver.url, str(len(put) + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            put.append(int(process.stdout.readline()))  # it runs
            time.sleep(chance.uniform(0.0, 0.25))  # any moment is as good as another
            process.kill()
            put += [int(line) for line in process.stdout.read().split()]
    outbox = Outbox.open(folder)
    receiver.answers.clear()
    with sending(outbox, receiver):
        await_empty(outbox)

    told = [verify(each) for each in receiver.received]
    arrived = {verify(each) for each in receiver.taken}
    assert arrived >= {f"{number:032x}" for number in put}
    assert len(put) >= 20
    assert arrived <= {
        f"{number:032x}" for number in range(1, len(put) + 7)
    }  # at most one put unsaid by each that died
    assert len(told) > len(arrived)  # some came twice
    assert list(folder.glob(".*")) == []
