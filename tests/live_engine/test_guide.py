"""The operator's guide says what there is."""

import re
import shutil
import subprocess

import pytest

from live_engine.durations import Durations
from live_engine.metrics import metrics_text
from live_engine.watchdog import BLOCKED, MISSING, SETTLING, TOLD
from tests.adapters.webhook.receiver import Receiver
from tests.adapters.webhook.test_sender import verify
from tests.helios_home import ROOT
from tests.live_engine.prometheus import read_metrics
from tests.live_engine.statuses import NOW, status

GUIDE = (ROOT / "docs" / "live.md").read_text()
EVENTS = {"gave_up", "supervisor_gone", "engine_started_again", "page"}


def part(name: str) -> str:
    return GUIDE.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]


def test_every_metric_is_listed_with_its_labels_and_meaning():
    families = read_metrics(metrics_text(status(), NOW, Durations().histograms))

    rows = []
    for name, family in families.items():
        labels = sorted({label for _, pairs in family.samples for label, _ in pairs} - {"le"})
        rows.append(f"| `{name}` | {', '.join(labels)} | {family.says} |")
    assert part("metrics").split("\n")[3:-1] == rows


def test_every_kind_of_alert_is_listed():
    assert set(re.findall(r"^\| `(\w+)`", part("alerts"), re.MULTILINE)) == MISSING | SETTLING | TOLD | EVENTS | {
        BLOCKED
    }


@pytest.mark.skipif(not all(map(shutil.which, ("sh", "curl", "openssl"))), reason="curl or openssl is not installed")
def test_the_request_that_it_shows_is_signed_as_ours_are():
    receiver = Receiver().start()
    try:
        script = part("signed request").replace("```sh", "").replace("```", "")
        subprocess.run(
            ["sh", "-ec", script],
            env={
                "HELIOS_WEBHOOK_SECRET": "a-shared-secret",
                "HELIOS_WEBHOOK_URL": receiver.url,
                "NO_PROXY": "127.0.0.1",
            }
            | {"PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
        (received,) = receiver.await_requests(1)
    finally:
        receiver.stop()

    assert verify(received) == "1"
