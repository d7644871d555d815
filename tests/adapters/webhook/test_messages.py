"""Bodies and signatures, checked as a receiver checks them."""

import hashlib
import hmac
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.adapters.webhook.address import Webhook
from helios_pipeline.adapters.webhook.messages import line_of, message, signature
from tests.adapters.webhook.alerts import alert

SECRET = "a-shared-secret"


def webhook(name="helios", secret=SECRET):
    return Webhook(url="https://alerts.example.com/in", secret=secret, format=name)


def test_the_helios_body_is_the_alert_and_its_id_is_in_a_header_too():
    body, headers = message(alert(7), webhook(), 1_772_452_800)

    assert json.loads(body) == {
        "alert_id": f"{7:032x}",
        "account": "DYDX-paper",
        "kind": "engine_down",
        "subject": "",
        "severity": "critical",
        "state": "raised",
        "summary": "the engine ended with code 9",
        "facts": {"said": "journal: expected room on the disk, found none"},
        "since": "2026-03-02T12:00:00+00:00",
        "told_at": "2026-03-02T12:00:07+00:00",
    }
    assert headers["Helios-Alert-Id"] == f"{7:032x}"


@given(sent_at=st.integers(0, 2**40), secret=st.text(min_size=1), summary=st.text())
def test_the_signature_is_over_time_and_body(sent_at, secret, summary):
    body, headers = message(alert(summary=summary), webhook(secret=secret), sent_at)

    expected = hmac.digest(secret.encode(), headers["Helios-Timestamp"].encode() + b"." + body, "sha256").hex()
    assert headers["Helios-Signature"] == f"sha256={expected}"
    assert headers["Helios-Signature"] != signature(secret, sent_at + 1, body)
    assert headers["Helios-Signature"] != signature(secret, sent_at, body + b" ")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_verifies_it_as_the_guide_shows():
    body, headers = message(alert(), webhook(), 1_772_452_800)

    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET], input=b"1772452800." + body, capture_output=True, check=True
    )

    assert headers["Helios-Signature"] == "sha256=" + said.stdout.split()[-1].decode()


def test_slack_and_discord_get_their_own_bodies_with_the_line_the_facts_and_the_id():
    for name, key in (("slack", "text"), ("discord", "content")):
        body, headers = message(alert(), webhook(name, secret=""), 1)

        lines = json.loads(body)[key].splitlines()
        assert lines == [
            "CRITICAL DYDX-paper: the engine ended with code 9",
            "• said: journal: expected room on the disk, found none",
            f"since 2026-03-02 12:00:00 UTC · {1:032x}",
        ]
        assert "Helios-Signature" not in headers


@given(text=st.text(max_size=6_000))
def test_whatever_a_fact_holds_a_message_fits_mentions_nobody_and_ends_with_the_id(text):
    said = alert(facts={"said": text + "<!channel> @everyone & co"})

    slack = json.loads(message(said, webhook("slack"), 1)[0])
    discord = json.loads(message(said, webhook("discord"), 1)[0])

    assert "<" not in slack["text"]
    assert discord["allowed_mentions"] == {"parse": []}
    assert len(discord["content"]) <= 2_000
    assert slack["text"].endswith(said.alert_id)
    assert discord["content"].endswith(said.alert_id)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("raised", "WARNING DYDX-paper: no trades"),
        ("standing", "WARNING DYDX-paper: still: no trades"),
        ("recovered", "WARNING DYDX-paper: over: no trades"),
    ],
)
def test_the_line_says_whether_it_begins_stands_or_is_over(state, line):
    assert line_of(alert(state=state, severity="warning", summary="no trades")) == line


def test_the_hash_is_sha256():
    assert len(signature("x", 1, b"").removeprefix("sha256=")) == hashlib.sha256().digest_size * 2
