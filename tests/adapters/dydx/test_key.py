import pytest

from helios_pipeline.adapters.dydx.key import DydxKey
from helios_pipeline.core.errors import SettingsError

WORDS = (
    "mirror actor skill push coach wait confirm orchard lunch mobile athlete gossip awake miracle matter bus reopen "
    "team ladder lazy list timber render wait"
)
ADDRESS = "dydx14zzueazeh0hj67cghhf9jypslcf9sh2n5k6art"
DIGITS = "1a" * 32


def test_a_mnemonic_and_a_private_key_give_their_address():
    assert DydxKey.load({"HELIOS_DYDX_KEY": WORDS}).address == ADDRESS
    keys = [DydxKey.load({"HELIOS_DYDX_KEY": text}) for text in (DIGITS, f"0x{DIGITS}", f" {DIGITS}\n")]
    assert len({key.address for key in keys}) == 1


def test_a_key_is_never_shown():
    key = DydxKey.load({"HELIOS_DYDX_KEY": WORDS})
    assert "mirror" not in repr(key) + str(key)
    assert repr(key) == f"DydxKey(address='{ADDRESS}')"


@pytest.mark.parametrize("text", ["1a1a", "zz" * 32, WORDS.replace("mirror", "mirrors"), "only three words", "0x"])
def test_what_is_no_key_is_refused_without_being_shown(text):
    with pytest.raises(SettingsError) as caught:
        DydxKey.load({"HELIOS_DYDX_KEY": text})

    assert text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_comes_from_exactly_one_place(tmp_path):
    path = tmp_path / "key"
    path.write_text(WORDS)
    path.chmod(0o600)
    assert DydxKey.load({"HELIOS_DYDX_KEY_FILE": str(path)}).address == ADDRESS
    for environment in ({}, {"HELIOS_DYDX_KEY": WORDS, "HELIOS_DYDX_KEY_FILE": str(path)}):
        with pytest.raises(SettingsError, match="HELIOS_DYDX_KEY or HELIOS_DYDX_KEY_FILE"):
            DydxKey.load(environment)


def test_a_file_that_others_may_read_is_refused_unless_systemd_guards_it(tmp_path):
    path = tmp_path / "key"
    path.write_text(WORDS)
    path.chmod(0o440)
    with pytest.raises(SettingsError, match="0440"):
        DydxKey.load({"HELIOS_DYDX_KEY_FILE": str(path)})
    guarded = {"HELIOS_DYDX_KEY_FILE": str(path), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert DydxKey.load(guarded).address == ADDRESS


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match="nothing"):
        DydxKey.load({"HELIOS_DYDX_KEY_FILE": str(tmp_path / "nothing")})
