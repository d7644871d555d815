import os
import signal
import subprocess
import sys

import pytest

from helios_pipeline.core.errors import EngineError
from live_engine.home_lock import HomeLock, home_holder
from tests.helios_home import ROOT

HOLD = """
import sys
from pathlib import Path
from live_engine.home_lock import HomeLock

lock = HomeLock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_engine_is_refused_and_told_the_process_until_that_one_is_killed(tmp_path):
    home = tmp_path / "account"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "held\n"

        with pytest.raises(
            EngineError, match=f"expected to be the only engine of this home, found process {other.pid} o"
        ):
            HomeLock.take(home)
        assert f"process {other.pid} on" in home_holder(home)
        other.send_signal(signal.SIGKILL)
        other.wait()

        lock = HomeLock.take(home)
        assert f"process {os.getpid()} on" in home_holder(home)
        lock.close()
        lock.close()
    assert home_holder(home) is None


def test_nobody_holds_a_folder_that_is_not_there(tmp_path):
    assert home_holder(tmp_path / "none") is None


def test_a_lock_names_its_machine_and_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "account")
    lock = HomeLock.take(tmp_path / "account")

    assert lock.place.endswith(f":{tmp_path / 'account'}")
    lock.close()
    again = HomeLock.take(tmp_path / "link")
    assert again.place == lock.place
    again.close()


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(EngineError, match=r"expected to make its lock, found: .* Correct HELIOS_HOME"):
        HomeLock.take(tmp_path / "file")
