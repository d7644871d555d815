"""Runs whose process is gone are ended; those of living processes and other hosts are left alone."""

import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from jobs.abandoned import PROCESS_TAG, end_abandoned_runs, run_tags

STARTED = dg.DagsterRunStatus.STARTED
SAY_TAGS = "from jobs.abandoned import run_tags, PROCESS_TAG; print(run_tags()[PROCESS_TAG])"


@pytest.fixture(scope="module")
def of_an_ended_process():
    """The tag of a process that has ended."""
    return subprocess.run([sys.executable, "-c", SAY_TAGS], capture_output=True, text=True, check=True).stdout.strip()


def status_after(instance, tag, status=STARTED):
    run = create_run_for_test(instance, status=status, tags={} if tag is None else {PROCESS_TAG: tag})
    ended = end_abandoned_runs(instance)
    after = instance.get_run_by_id(run.run_id).status
    assert ended == ([run.run_id] if after != status else [])
    return after


def test_a_run_whose_process_has_ended_is_marked_as_failed(instance, of_an_ended_process):
    assert status_after(instance, of_an_ended_process) == dg.DagsterRunStatus.FAILURE


def test_a_process_number_that_was_used_again_does_not_keep_a_run_alive(instance):
    mine = run_tags()[PROCESS_TAG]

    assert status_after(instance, mine + "0") == dg.DagsterRunStatus.FAILURE


def test_a_reboot_ends_every_run(instance):
    host, _, pid = run_tags()[PROCESS_TAG].split(" ")

    assert status_after(instance, f"{host} another-boot {pid}") == dg.DagsterRunStatus.FAILURE


def test_a_run_of_a_living_process_goes_on(instance):
    assert status_after(instance, run_tags()[PROCESS_TAG]) == STARTED


def test_a_run_of_another_host_is_not_judged(instance, of_an_ended_process):
    assert status_after(instance, f"another-host {of_an_ended_process.partition(' ')[2]}") == STARTED


def test_a_run_that_dagster_started_is_dagsters(instance):
    assert status_after(instance, None) == STARTED


def test_a_run_that_has_ended_stays_as_it_ended(instance, of_an_ended_process):
    success = dg.DagsterRunStatus.SUCCESS

    assert status_after(instance, of_an_ended_process, success) == success


def test_dagster_may_not_start_a_run_of_a_command_line_again():
    assert run_tags()["dagster/max_retries"] == "0"
