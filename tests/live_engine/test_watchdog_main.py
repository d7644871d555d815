"""The watchdog as a process: beside an engine that beats, hangs or dies, with a receiver that is told."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from live_engine.heartbeat import HEARTBEAT
from live_engine.home_lock import HomeLock
from live_engine.kill_switch import KillSwitch
from tests.adapters.webhook.receiver import Receiver
from tests.helios_home import ROOT, write_settings

SHORT = {
    "watchdog.stale_heartbeat_seconds": 1.0,
    "watchdog.start_seconds": 2.5,
    "watchdog.first_backoff_seconds": 0.05,
    "watchdog.longest_backoff_seconds": 0.2,
    "watchdog.max_starts": 3,
    "live.heartbeat_seconds": 0.05,
    "live.network": "paper",
    "live.venue": "DYDX",
}
ACCOUNT = "DYDX-paper"


class Place:
    """A home with one account, a receiver, and the processes that tests start."""

    def __init__(self, folder, receiver, processes):
        self.folder, self.receiver, self.processes = folder, receiver, processes
        self.configure()
        self.account = folder / "home" / "live" / ACCOUNT
        self.account.mkdir(parents=True)
        self.variables = {}

    def configure(self, **changes):
        named = {name.replace("__", "."): value for name, value in changes.items()}
        write_settings(self.folder / "helios.toml", SHORT | {"paths.home": "home"} | named)

    @property
    def environment(self):
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1",
            "HELIOS_CONFIG": str(self.folder / "helios.toml"),
            "HELIOS_WEBHOOK_URL": self.receiver.url,
            "HELIOS_WEBHOOK_SECRET": "a-shared-secret",
        } | self.variables

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.enter_context(contextlib.closing(_Ended(process)))
        return process

    def beat(self, epoch=1):
        before = self.heartbeat
        engine = self.start("tests.live_engine.beating", str(self.account / HEARTBEAT), str(epoch))
        until(lambda: self.heartbeat not in (None, before))
        return engine

    @property
    def heartbeat(self):
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.account / HEARTBEAT).read_bytes())["pid"]
        return None

    def watchdog(self, *arguments):
        process = self.start("live_engine.watchdog_main", *arguments)
        assert json.loads(process.stdout.readline()) == {"ready": True, "account": ACCOUNT}
        return process

    def told(self, number, seconds=30.0):
        """Kind, subject and state of the first so many alerts; one that came again is known by its id."""
        until(lambda: len(self.alerts) >= number, seconds)
        return list(self.alerts.values())[:number]

    @property
    def alerts(self):
        said = [json.loads(each.body) for each in self.receiver.taken]
        return {each["alert_id"]: (each["kind"], each["subject"], each["state"]) for each in said}


class _Ended:
    """Ends a process at the end of a test."""

    def __init__(self, process):
        self.process = process

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def say(process, **what):
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


def asked(process):
    return json.loads(process.stdout.readline())


@pytest.fixture
def place(tmp_path):
    receiver = Receiver().start()
    with contextlib.ExitStack() as processes:
        yield Place(tmp_path, receiver, processes)
    receiver.stop()


def test_what_a_living_engine_says_of_itself_is_told_once_and_again_when_it_is_over(place):
    engine = place.beat()
    place.watchdog()

    for number, word in enumerate(("trader_stopped", "sound", "HALTED", "sound", "stale", "sound"), 1):
        engine.stdin.write(f"{word}\n")
        engine.stdin.flush()
        place.told(number)

    assert place.told(6) == [
        ("trader_stopped", "", "raised"),
        ("trader_stopped", "", "recovered"),
        ("mode", "HALTED", "raised"),
        ("mode", "HALTED", "recovered"),
        ("stale_stream", "trades", "raised"),
        ("stale_stream", "trades", "recovered"),
    ]


def test_an_engine_that_asks_for_a_person_is_heard_once_though_the_watchdog_dies(place):
    engine = place.beat()
    watchdog = place.watchdog()
    engine.stdin.write("paged\n")
    engine.stdin.flush()
    place.told(1)
    watchdog.kill()
    watchdog.wait()

    place.watchdog()
    engine.stdin.write("HALTED\n")
    engine.stdin.flush()

    assert place.told(2) == [("page", "", "happened"), ("mode", "HALTED", "raised")]


def test_an_alert_that_could_not_be_kept_goes_out_when_there_is_room_again(place):
    engine = place.beat()
    place.watchdog()
    outbox, aside = place.account / "outbox", place.account / "aside"
    outbox.replace(aside)
    engine.stdin.write("HALTED\n")
    engine.stdin.flush()
    book = place.account / "watchdog.json"
    until(lambda: book.exists() and "HALTED" in book.read_text())

    aside.replace(outbox)

    assert place.told(1) == [("mode", "HALTED", "raised")]


def test_alerts_are_delivered_again_after_an_error_that_nobody_foresaw(place):
    unreadable = place.account / "outbox" / "1.0-unreadable.json"
    unreadable.mkdir(parents=True)
    engine = place.beat()
    place.watchdog()
    engine.stdin.write("HALTED\n")
    engine.stdin.flush()
    until(lambda: list(unreadable.parent.glob("*.json")) != [unreadable])

    unreadable.rmdir()

    assert place.told(1) == [("mode", "HALTED", "raised")]


def test_a_secret_in_what_the_engine_says_is_in_no_alert_file_or_log(place):
    engine = place.beat()
    watchdog = place.watchdog()
    engine.stdin.write("refused\n")
    engine.stdin.flush()

    assert place.told(1) == [("champion_refused", "", "raised")]
    watchdog.terminate()
    _, said = watchdog.communicate()
    kept = b"".join(path.read_bytes() for path in place.account.rglob("*") if path.is_file() and path.name != HEARTBEAT)
    assert b"hunter2" not in place.receiver.taken[0].body + kept + said.encode()
    assert "does not match" in said


def test_an_engine_that_is_killed_hangs_or_stops_in_good_order_is_told_apart(place):
    killed = place.beat(epoch=1)
    place.watchdog("--judge")
    killed.kill()
    killed.wait()
    assert place.told(1) == [("engine_down", "", "raised")]

    stopped = place.beat(epoch=2)
    assert {place.told(3)[number] for number in (1, 2)} == {
        ("engine_started_again", "", "happened"),
        ("engine_down", "", "recovered"),
    }
    stopped.terminate()
    stopped.wait()
    assert place.told(4)[3] == ("engine_absent", "", "raised")

    hanging = place.beat(epoch=3)
    place.told(6)
    hanging.send_signal(signal.SIGSTOP)
    assert place.told(7)[6] == ("engine_silent", "", "raised")
    hanging.send_signal(signal.SIGCONT)
    assert place.told(8)[7] == ("engine_silent", "", "recovered")


def test_under_systemd_it_starts_no_engine_and_asks_for_none(place):
    place.variables["INVOCATION_ID"] = "8b5f0f0e"
    engine = place.beat()
    watchdog = place.watchdog()
    engine.kill()
    engine.wait()
    place.told(1)
    watchdog.terminate()

    out, _ = watchdog.communicate(timeout=30)
    assert (out, watchdog.returncode) == ("", 0)
    assert not (place.account / "logs").exists()


def test_there_is_one_watchdog_for_an_account(place):
    place.watchdog()

    second = place.start("live_engine.watchdog_main")
    out, said = second.communicate(timeout=30)

    assert (second.returncode, out) == (9, "")
    assert said.startswith(f"helios: watchdog of {ACCOUNT}: expected to be the only one, found that another holds")


def test_a_dead_engine_is_started_again_and_after_too_many_starts_stays_down_halted(place):
    watchdog = place.watchdog("--supervised")
    say(watchdog, running=None)
    for _ in range(3):
        assert asked(watchdog) == {"start": True}
        engine = place.beat()
        say(watchdog, started=engine.pid)
        engine.kill()
        say(watchdog, ended=-9, said="helios: journal: no room, password=hunter2-hunter2")
    last = asked(watchdog)

    assert last["gave_up"].startswith("3 starts within 15 minutes; the engine was killed by signal 9: helios: journal")
    assert watchdog.wait(30) == 0
    switch = KillSwitch.load(place.account, ACCOUNT, None)
    assert (switch.mode, switch.who) == ("HALTED", "watchdog")
    told = place.told(2)
    assert told == [("engine_down", "", "raised"), ("gave_up", "", "happened")]
    assert "hunter2" not in place.receiver.taken[1].body.decode()


def test_an_engine_that_hangs_is_killed_and_started_again(place):
    watchdog = place.watchdog("--supervised")
    say(watchdog, running=None)
    assert asked(watchdog) == {"start": True}
    engine = place.beat()
    say(watchdog, started=engine.pid)
    until(lambda: place.heartbeat == engine.pid)
    engine.send_signal(signal.SIGSTOP)  # a stopped process is alive and silent

    assert asked(watchdog) == {"kill": True}
    engine.kill()
    say(watchdog, ended=-9, said="")
    assert asked(watchdog) == {"start": True}
    assert place.told(1) == [("engine_silent", "", "raised")]


def test_engine_and_watchdog_killed_together_each_time_still_end_halted(place):
    for attempt in range(3):
        watchdog = place.watchdog("--supervised")
        say(watchdog, **({"running": None} if attempt == 0 else {"ended": -9, "said": ""}))
        assert asked(watchdog) == {"start": True}
        engine = place.beat()
        say(watchdog, started=engine.pid)
        engine.kill()
        watchdog.kill()
        watchdog.wait()
    watchdog = place.watchdog("--supervised")
    say(watchdog, ended=-9, said="")

    assert "gave_up" in asked(watchdog)
    assert KillSwitch.load(place.account, ACCOUNT, None).mode == "HALTED"


def test_a_watchdog_that_is_killed_and_comes_back_tells_nothing_twice_and_forgets_nothing(place):
    engine = place.beat()
    watchdog = place.watchdog()
    engine.stdin.write("HALTED\n")
    engine.stdin.flush()
    place.told(1)
    watchdog.kill()
    watchdog.wait()
    place.watchdog()
    engine.stdin.write("sound\n")
    engine.stdin.flush()

    assert place.told(2) == [("mode", "HALTED", "raised"), ("mode", "HALTED", "recovered")]


def test_when_who_started_it_is_gone_it_tells_so_and_ends(place):
    watchdog = place.watchdog("--supervised")
    say(watchdog, running=None)
    assert asked(watchdog) == {"start": True}
    watchdog.stdin.close()

    assert watchdog.wait(30) == 0
    assert place.told(1) == [("supervisor_gone", "", "happened")]


def test_told_to_stop_it_ends_without_a_word(place):
    watchdog = place.watchdog("--supervised")
    say(watchdog, running=None)
    asked(watchdog)
    say(watchdog, stop=True)

    assert watchdog.wait(30) == 0
    assert place.receiver.received == []


def test_by_itself_it_starts_engines_and_one_that_never_comes_up_ends_halted(place):
    place.configure(watchdog__start_seconds=60.0, watchdog__max_starts=2)
    lock = HomeLock.take(place.account)  # so that an engine says what is wrong, and ends
    engine = place.beat()
    watchdog = place.watchdog()
    engine.kill()
    engine.wait()

    assert place.told(2, 60) == [("engine_down", "", "raised"), ("gave_up", "", "happened")]
    assert KillSwitch.load(place.account, ACCOUNT, None).mode == "HALTED"
    said = (place.account / "logs" / "engine.log").read_text()
    assert said.count("helios: ") == 2
    assert watchdog.poll() is None
    alerts = b"".join(each.body for each in place.receiver.taken)
    assert b"ended with code 9: " in alerts
    assert b"expected to be the only engine of this home" in alerts
    lock.close()
    place.beat(epoch=2)
    assert place.told(3)[2] == ("engine_down", "", "recovered")


def test_an_engine_that_stops_in_good_order_is_left_alone(place):
    engine = place.beat()
    place.watchdog()
    time.sleep(0.3)  # it has seen the engine
    engine.terminate()
    engine.wait()

    assert place.told(1) == [("engine_absent", "", "raised")]
    assert not (place.account / "logs").exists()
