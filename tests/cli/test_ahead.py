"""The compiler in processes of its own: what a command waits for, and what not."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from numba.core.compiler_lock import global_compiler_lock

from helios_pipeline.cli import ahead
from helios_pipeline.features.machine_code import cache_folder

COMPILER = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
"""A compiler that works until a file is there."""

BESIDE_THE_COMPILER = f"""
import pathlib, sys, threading
from helios_pipeline.cli import ahead

ahead.cache_folder = lambda configured: "/nowhere"
ahead._command = lambda *arguments: [sys.executable, "-c", {COMPILER!r}, sys.argv[1]]
ahead.compile_ahead(1)
from numba.core.compiler_lock import global_compiler_lock
while global_compiler_lock._lock.acquire(blocking=False):
    global_compiler_lock._lock.release()

import helios_pipeline.definitions, jobs.research
from helios_pipeline.features.windows import average_true_range
import numpy
print("imported")

calling = threading.Thread(target=lambda: print("called", average_true_range(*[numpy.ones(2)] * 3, 1, 1)))
calling.start()
calling.join(1)
print("waits", calling.is_alive(), flush=True)
pathlib.Path(sys.argv[1]).touch()
calling.join()
"""


def test_imports_go_on_beside_the_compiler_and_what_is_compiled_waits(tmp_path):
    command = [sys.executable, "-c", BESIDE_THE_COMPILER, str(tmp_path / "compiled")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (told.stdout.splitlines(), told.stderr) == (["imported", "waits True", "called 0.0"], "")


def test_a_compiler_that_fails_holds_nothing_up(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/nowhere")
    monkeypatch.setattr(ahead, "_command", lambda *arguments: [sys.executable, "-c", "raise SystemExit(3)"])

    ahead.compile_ahead(1)
    for thread in threading.enumerate():
        if thread.name == "compile-ahead":
            thread.join(60)

    assert global_compiler_lock._lock.acquire(timeout=60)
    global_compiler_lock._lock.release()


def test_where_there_is_machine_code_nothing_is_started(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    made = Path(cache_folder(str(tmp_path))) / "simulation_0" / "skipping.run_sets-79.py313.nbi"
    made.parent.mkdir(parents=True)
    made.touch()
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: started.append(command))

    ahead.compile_ahead(1)

    assert started == []


@pytest.mark.soak
def test_two_processes_make_everything_that_a_sweep_calls(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    subprocess.run(ahead._command("1"), check=True, timeout=300)

    (folder,) = tmp_path.iterdir()
    made = {path.name.partition("-")[0]: path for path in folder.rglob("*.nbi")}
    assert {"skipping.run_sets", "summary.summarise", "windows.score_windows"} <= made.keys()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}
    subprocess.run(ahead._command("1"), check=True, timeout=300)
    assert {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*.nb?")} == before
