"""Where alerts go is read from the environment or private files, and never shown."""

import pytest

from helios_pipeline.adapters.webhook.address import read_webhook
from helios_pipeline.core.errors import SettingsError

HIDDEN_URL = "https://hooks.slack.com/services/T0/B0/very-secret-part"
SIGNED = {"HELIOS_WEBHOOK_URL": "https://alerts.example.com/in", "HELIOS_WEBHOOK_SECRET": "a-shared-secret"}


def test_without_an_address_there_is_no_webhook():
    assert read_webhook({}, "helios") is None


def test_address_and_secret_come_from_variables():
    webhook = read_webhook(SIGNED, "helios")

    assert (webhook.url, webhook.secret, webhook.host) == (*SIGNED.values(), "alerts.example.com")


def test_address_and_secret_come_from_files_of_their_owner(tmp_path):
    variables = {}
    for name, value in SIGNED.items():
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(f"{value}\n")
        variables[f"{name}_FILE"] = str(path)

    assert read_webhook(variables, "helios") == read_webhook(SIGNED, "helios")


def test_a_file_that_others_may_read_is_refused_unless_systemd_guards_its_folder(tmp_path):
    path = tmp_path / "webhook_url"
    path.write_text(HIDDEN_URL)
    path.chmod(0o440)
    variables = {"HELIOS_WEBHOOK_URL_FILE": str(path)}

    with pytest.raises(SettingsError, match=r"readable by its owner only. Run chmod 600"):
        read_webhook(variables, "slack")
    assert read_webhook(variables | {"CREDENTIALS_DIRECTORY": str(tmp_path)}, "slack").url == HIDDEN_URL


def test_neither_repr_nor_an_error_shows_address_or_secret():
    webhook = read_webhook({"HELIOS_WEBHOOK_URL": HIDDEN_URL, "HELIOS_WEBHOOK_SECRET": "another-secret"}, "slack")

    assert "another-secret" not in repr(webhook)
    assert "very-secret-part" not in repr(webhook)
    with pytest.raises(SettingsError) as error:
        read_webhook({"HELIOS_WEBHOOK_URL": "http://example.com/very-secret-part"}, "slack")
    assert "very-secret-part" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://example.com/in", "ftp://example.com", "example.com", "https://", "http://[::1"]
)
def test_an_address_that_would_send_alerts_in_the_clear_is_refused(url):
    with pytest.raises(SettingsError, match="HELIOS_WEBHOOK_URL: expected an address that begins with https://"):
        read_webhook(SIGNED | {"HELIOS_WEBHOOK_URL": url}, "helios")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/in", "http://localhost/in", "http://[::1]:9000/in"])
def test_on_this_machine_nothing_has_to_be_encrypted(url):
    assert read_webhook(SIGNED | {"HELIOS_WEBHOOK_URL": url}, "helios").url == url


def test_what_is_to_be_signed_needs_a_secret():
    with pytest.raises(SettingsError, match="HELIOS_WEBHOOK_SECRET: expected a secret to sign alerts with, found none"):
        read_webhook({"HELIOS_WEBHOOK_URL": SIGNED["HELIOS_WEBHOOK_URL"]}, "helios")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(SettingsError, match="HELIOS_WEBHOOK_URL_FILE: expected a file at /nowhere/url, found: No such"):
        read_webhook({"HELIOS_WEBHOOK_URL_FILE": "/nowhere/url"}, "slack")
