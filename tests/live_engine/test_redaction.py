"""Secrets never reach a log line: planted into every field of an event, in every spelling, none comes out."""

import io
import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_engine.logs import start_logs
from live_engine.redaction import HIDDEN, Redactor, is_secret_name

ENOUGH = st.text(
    alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")),
    min_size=12,
    max_size=40,
)
MNEMONIC = "merge panther lobster crazy road hollow amused security before critic about cliff exhibit cause coyote"


def logged(redactor, message, **extra):
    stream = io.StringIO()
    with start_logs(stream, process="engine", redactor=redactor):
        logging.getLogger("tests").warning(message, extra=extra)
    (line,) = stream.getvalue().splitlines()
    return line


@st.composite
def events(draw, planted):
    """A message and fields, with the planted text somewhere in each of them."""
    around = st.sampled_from(["", " ", "key=", "url: ", "('", '{"a": "', "\n", "Ü"])

    def with_it():
        return draw(around) + planted + draw(st.sampled_from(["", " ", "'", '"}', "\n", "."]))

    nested = {with_it(): [with_it(), {"deep": with_it()}], "numbers": [1, 2.5, None, True]}
    return with_it(), {"correlation": with_it(), "account_name": with_it(), "facts": nested, "error_text": with_it()}


@given(data=st.data(), secret=ENOUGH)
def test_a_known_secret_never_comes_out_of_any_field(data, secret):
    message, fields = data.draw(events(secret))

    line = logged(Redactor([secret]), message, **fields)

    assert secret.lower() not in line.lower()
    assert secret.lower() not in json.dumps(json.loads(line), ensure_ascii=False).lower()
    everything = list(texts(json.loads(line)))
    assert not [text for text in everything if secret.lower() in text.lower()]
    assert json.loads(line)["numbers" if "numbers" in json.loads(line) else "level"]


def texts(value):
    match value:
        case str():
            yield value
        case dict():
            for name, each in value.items():
                yield name
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)


@given(
    data=st.data(), user=ENOUGH, password=ENOUGH, scheme=st.sampled_from(["postgresql", "https", "wss", "redis+tls"])
)
def test_the_login_of_a_url_never_comes_out_though_nobody_knew_it(data, user, password, scheme):
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    message, fields = data.draw(events(f"{scheme}://{login}@db.example.com:5432/helios?sslmode=require"))

    line = logged(Redactor(), message, **fields)

    assert quote(password, safe="") not in line
    assert password not in line
    assert f"{scheme}://{HIDDEN}@db.example.com:5432/helios" in line


@given(
    data=st.data(),
    token=st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefxyz_-", min_size=12, max_size=40),
    form=st.sampled_from(
        [
            "https://hooks.slack.com/services/T0/B0/{}",
            "https://discord.com/api/webhooks/123456/{}",
            "https://canary.discord.com/api/v10/webhooks/1/{}",
            "https://example.com/hook?token={}",
            "https://example.com/hook?x=1&api_key={}&y=2",
            "Authorization: Bearer {}",
            "password='{}'",
        ]
    ),
)
def test_a_webhook_address_or_token_never_comes_out_though_nobody_knew_it(data, token, form):
    message, fields = data.draw(events(form.format(token)))

    assert token not in logged(Redactor(), message, **fields)


@pytest.mark.parametrize(
    "spelling",
    [
        MNEMONIC,
        MNEMONIC.upper(),
        MNEMONIC.replace(" ", "\n"),
        MNEMONIC.replace(" ", "  "),
        repr({"mnemonic": MNEMONIC}),
        json.dumps({"m": MNEMONIC}),
        quote(MNEMONIC),
        MNEMONIC.replace(" ", "+"),
    ],
)
def test_a_mnemonic_is_found_in_every_spelling(spelling):
    assert "panther" not in Redactor([MNEMONIC]).text(f"before {spelling} after").lower()


def test_a_key_is_found_with_and_without_its_0x_in_either_case():
    key = "0x" + "5aF0" * 16
    redactor = Redactor([key])

    for spelling in (key, key[2:], key.upper(), key[2:].lower()):
        assert redactor.text(f"key {spelling}.") in (f"key {HIDDEN}.", f"key 0X{HIDDEN}.")


def test_the_secrets_of_an_environment_are_known_with_the_parts_that_are_secret_by_themselves():
    redactor = Redactor.of_environment(
        {
            "HELIOS_DYDX_KEY": "11" * 32,
            "HELIOS_LIVE_DATABASE_URL": "postgresql://helios_live:pa%2Fss-word@127.0.0.1:5433/helios",
            "HELIOS_WEBHOOK_URL": "https://alerts.example.com/in/4f9d1c5e8b7a6d3c2b1a",
            "HELIOS_DYDX_KEY_FILE": "/etc/helios/dydx.key",
            "PATH": "/usr/bin:/bin",
        }
    )

    assert redactor.text("11" * 32 + " pa/ss-word pa%2Fss-word in/4f9d1c5e8b7a6d3c2b1a") == " ".join([HIDDEN] * 4)
    assert redactor.text("/etc/helios/dydx.key, /usr/bin:/bin") == "/etc/helios/dydx.key, /usr/bin:/bin"


def test_the_traceback_of_an_error_is_redacted_too():
    stream = io.StringIO()
    with start_logs(stream, process="engine", redactor=Redactor(["hunter2-hunter2"])):
        try:
            int("hunter2-hunter2")
        except ValueError:
            logging.getLogger("tests").exception("login failed")

    said = json.loads(stream.getvalue())
    assert said["error"].endswith(f"with base 10: '{HIDDEN}'")
    assert "hunter2" not in stream.getvalue()


def test_a_private_key_in_pem_is_hidden_whole_and_when_it_is_cut_off():
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\nabc\n-----END PRIVATE KEY-----"

    assert Redactor().text(f"x {pem} y") == f"x {HIDDEN} y"
    assert "MC4" not in Redactor().text(pem[:40])


@pytest.mark.parametrize(
    "name", ["HELIOS_DYDX_KEY", "ANTHROPIC_API_KEY", "password", "DAGSTER_POSTGRES_URL", "mnemonic"]
)
def test_a_field_whose_name_says_secret_is_hidden_whatever_it_holds(name):
    assert Redactor().clean({name: "anything"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ["key_id", "webhook_format", "HELIOS_DYDX_KEY_FILE", "account", "correlation"])
def test_a_field_that_holds_no_secret_is_left_alone(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "ws://127.0.0.1:8601/stream?streams=btcusdt@aggTrade",
        "fill of 0.25 BTC-USD-PERP.DYDX at 61000.5, client order id 1234",
        "manifest " + "ab" * 32,
        "http://127.0.0.1:8604/metrics",
    ],
)
def test_what_is_no_secret_is_left_alone(text):
    assert Redactor(["a-secret-of-length"]).text(text) == text
