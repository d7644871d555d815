"""`helios dagster` as people use it: a process of its own, asked over HTTP, awaited by what it answers."""

import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

from tests.helios_home import HeliosHome, await_end

UP_WITHIN_SECONDS = 120.0
DONE_WITHIN_SECONDS = 360.0
STOPPED_WITHIN_SECONDS = 60.0
"""The command itself kills after 20 s what does not stop, first interface and daemon, then the code server."""
LOOK_EVERY_SECONDS = 0.5
NO_DAILY_REFRESH = "0 0 29 2 *"
"""A cron line for homes whose tests are not about the schedule."""

WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

HEALTH = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"

BACKFILL = """
mutation($given: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $given) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""

LAUNCH = """
mutation($given: ExecutionParams!) { launchRun(executionParams: $given) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""

RUNS = """
query($filter: RunsFilter) { runsOrError(filter: $filter, limit: 100) { ... on Runs { results {
  runId jobName status parentRunId startTime endTime tags { key value } } } } }
"""

EVENTS = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection(limit: 5000) { events {
  __typename
  ... on MessageEvent { message timestamp stepKey }
  ... on MaterializationEvent { assetKey { path } partition }
  ... on AssetCheckEvaluationEvent { evaluation { assetKey { path } checkName success severity description } } } } } } }
"""

CHECK = """
query($asset: AssetKeyInput!, $check: String!) { assetCheckExecutions(assetKey: $asset, checkName: $check, limit: 1) {
  status runId evaluation { success severity description metadataEntries {
    label ... on TableMetadataEntry { table { records schema { columns { name type } } } } } } } }
"""

PARTITIONS = """
query($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode {
  partitionKeysByDimension { name partitionKeys } partitionKeys } } }
"""

REPOSITORY = {"repositoryLocationName": "helios", "repositoryName": "__repository__"}
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
MARKET_DATA = ("raw_klines", "raw_funding_rates", "raw_open_interest", "bars_15m", "funding_features")


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def fetch(url: str, body: bytes | None = None) -> Any:
    """The JSON at an address."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with WITHOUT_PROXY.open(request, timeout=60) as answer:
        return json.load(answer)


def month_keys(instruments: Sequence[str], months: Sequence[str]) -> list[str]:
    """Dagster's keys of every month (`YYYY-MM`) of every instrument."""
    return [f"{instrument}|{month}-01" for instrument in instruments for month in months]


@dataclass(frozen=True, kw_only=True)
class Materialized:
    """One materialization event."""

    asset: str
    key: str


@dataclass(frozen=True, kw_only=True)
class ServedDagster:
    """A running `helios dagster`.

    Attributes:
        home: whose.
        process: the command; its children are web interface, daemon and code server.
        port: of the web interface.
    """

    home: HeliosHome
    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        """Where people look."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: object) -> Any:
        """The data of a GraphQL answer."""
        answer = fetch(f"{self.url}/graphql", json.dumps({"query": query, "variables": variables}).encode())
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def await_answer[T](
        self, question: Callable[[], T], until: Callable[[T], object], *, within: float = DONE_WITHIN_SECONDS
    ) -> T:
        """Ask until the answer is as wanted; the process ending first is an error."""
        deadline, answer = time.monotonic() + within, None
        while time.monotonic() < deadline:
            try:
                answer = question()
                if until(answer):
                    return answer
            except (URLError, ConnectionError, TimeoutError):
                pass
            assert not await_end(self.process.pid, LOOK_EVERY_SECONDS), "helios dagster ended"
        raise AssertionError(f"not within {within:.0f} s; last answer: {answer}")

    def await_up(self) -> None:
        """Until the web interface answers and every daemon is healthy."""
        self.await_answer(lambda: fetch(f"{self.url}/server_info"), bool, within=UP_WITHIN_SECONDS)
        self.await_answer(lambda: self.ask(HEALTH), _daemons_are_healthy, within=UP_WITHIN_SECONDS)

    def backfill(self, assets: Sequence[str], keys: Sequence[str]) -> str:
        """Launch a backfill as the interface does; returns its id."""
        given = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": list(keys)}
        launched = self.ask(BACKFILL, given=given)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill: str = launched["backfillId"]
        return backfill

    def await_backfill(self, backfill: str, *, runs: int, within: float = DONE_WITHIN_SECONDS) -> list[Any]:
        """Until that many runs of a backfill have ended; returns them, the first one first."""
        of_backfill = [{"key": "dagster/backfill", "value": backfill}]
        return self.await_answer(
            lambda: self.runs(tags=of_backfill),
            lambda found: len(found) >= runs and all(run["status"] in ENDED for run in found),
            within=within,
        )

    def refresh(self, first: str, last: str, **tags: str) -> str:
        """Launch `daily_refresh` over a range of months; returns the run's id."""
        return self.launch(
            "daily_refresh",
            {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
                **{name.replace("__", "/"): value for name, value in tags.items()},
            },
        )

    def launch(self, job: str, tags: Mapping[str, str]) -> str:
        """Launch a job; returns the run's id."""
        given = {
            "selector": {**REPOSITORY, "jobName": job},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        launched = self.ask(LAUNCH, given=given)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run: str = launched["run"]["runId"]
        return run

    def await_run(self, run_id: str) -> Any:
        """Until a run has ended."""
        (run,) = self.await_answer(lambda: self.runs(runIds=[run_id]), lambda runs: runs[0]["status"] in ENDED)
        return run

    def runs(self, **chosen: object) -> list[Any]:
        """Runs, the first one first."""
        found: list[Any] = self.ask(RUNS, filter=chosen)["runsOrError"]["results"]
        return found[::-1]

    def events(self, run_id: str) -> list[Any]:
        """Everything that a run said."""
        found: list[Any] = self.ask(EVENTS, id=run_id)["runOrError"]["eventConnection"]["events"]
        return found

    def materialized(self, runs: Sequence[Any]) -> list[Materialized]:
        """Every materialization of some runs, in order."""
        return [
            Materialized(asset=event["assetKey"]["path"][0], key=event["partition"])
            for run in runs
            for event in self.events(run["runId"])
            if event["__typename"] == "MaterializationEvent"
        ]

    def worker(self, run_id: str) -> int:
        """Process id of the worker of a run that has started."""
        said = [re.search(r"pid: (\d+)", event.get("message") or "") for event in self.events(run_id)]
        return next(int(found.group(1)) for found in said if found)

    def check(self, asset: str, check: str) -> Any:
        """The newest execution of a check, or None."""
        executions = self.ask(CHECK, asset={"path": [asset]}, check=check)["assetCheckExecutions"]
        return executions[0] if executions else None

    def partition_keys(self, asset: str, dimension: str | None = None) -> list[str]:
        """The partitions that can be chosen of an asset, or those of one of its dimensions."""
        node = self.ask(PARTITIONS, asset={"path": [asset]})["assetNodeOrError"]
        if dimension is None:
            keys: list[str] = node["partitionKeys"]
            return keys
        found = {each["name"]: each["partitionKeys"] for each in node["partitionKeysByDimension"]}
        return list(found[dimension])


def _daemons_are_healthy(answer: Any) -> bool:
    statuses = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


@contextmanager
def served(home: HeliosHome, *options: str) -> Iterator[ServedDagster]:
    """`helios dagster` with a healthy daemon; stopped as Ctrl-C stops it at the end, and nothing of it is left."""
    port, log = free_port(), home.folder / "dagster.log"
    with log.open("w") as said, home.started("dagster", "--port", str(port), *options, said=said) as process:
        dagster = ServedDagster(home=home, process=process, port=port)
        try:
            dagster.await_up()
            yield dagster
        except BaseException as error:
            error.add_note(f"What helios dagster said:\n{log.read_text()[-4000:]}")
            raise
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(STOPPED_WITHIN_SECONDS)
    assert home.left_after(STOPPED_WITHIN_SECONDS) == {}
