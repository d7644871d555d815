"""Runs whose process is gone: Dagster watches the processes it starts, we watch those of the command line.

A killed `helios research` can't say that it ended. Its run would be shown as running for ever, and would keep its place
among those that may ask the venue.
"""

import os
import socket
from pathlib import Path

import dagster as dg

PROCESS_TAG = "helios/process"
"""Run tag: host, boot, process id and start of the process that executes the run."""

IN_PROGRESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def run_tags() -> dict[str, str]:
    """Tags of a run that this process executes itself: whose it is, and that Dagster may not start it again."""
    return {PROCESS_TAG: _process(os.getpid()), "dagster/max_retries": "0"}


def end_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this host's command lines as failed whose process has ended; returns their ids."""
    ended = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS)):
        tag = run.tags.get(PROCESS_TAG)
        if tag is not None and _is_gone(tag):
            instance.report_run_failed(run, "The process that executed this run ended before the run did.")
            ended.append(run.run_id)
    return ended


def _is_gone(tag: str) -> bool:
    """Whether a process of this host has ended; those of other hosts can't be judged from here."""
    host, _, rest = tag.partition(" ")
    pid = rest.rpartition(" ")[2].partition("@")[0]
    return host == socket.gethostname() and pid.isdecimal() and _process(int(pid)) != tag


def _process(pid: int) -> str:
    """A name that no two processes of a host share: its number is used again, and begins anew at each boot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        # The second field is the program's name, in parentheses, and may hold spaces; the 22nd is the start.
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = "ended"
    return f"{socket.gethostname()} {boot} {pid}@{started}"
