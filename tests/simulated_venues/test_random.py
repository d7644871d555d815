import numpy as np
import pytest
from scipy.stats import kstest, norm

from simulated_venues.random import fill_averages, fill_normals, fill_uniforms, normal_quantile, philox, stream_key

KEY = stream_key(7, "BTCUSDT-PERP.BINANCE")


def signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


@pytest.mark.parametrize(
    ("counter", "stream", "key", "words"),
    [
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x85A308D3243F6A88, 0x0370734413198A2E, 0x299F31D0A4093822, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_words_its_authors_publish(counter, stream, key, words):
    # The known-answer vectors of Random123 for philox4x32-10.
    found = philox(signed(counter), signed(stream), np.uint64(key))

    assert " ".join(f"{int(word):08x}" for word in found) == words


def test_a_number_depends_on_its_place_and_not_on_the_range_it_is_asked_in():
    whole, part = np.empty(1_000), np.empty(37)
    fill_normals(KEY, 3, -500, whole)
    for first in (-500, -499, -1, 0, 1, 2, 3, 400):
        fill_normals(KEY, 3, first, part)

        assert (part == whole[first + 500 : first + 537]).all()


def test_streams_and_keys_do_not_share_numbers():
    columns = []
    for key, stream in ((KEY, 1), (KEY, 2), (stream_key(8, "BTCUSDT-PERP.BINANCE"), 1), (stream_key(7, "ETH"), 1)):
        columns.append(np.empty(20_000))
        fill_normals(key, stream, 0, columns[-1])

    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 0.03


def test_normals_and_uniforms_have_their_distributions():
    uniforms, normals = np.empty(100_000), np.empty(100_000)
    chances = []
    for stream in range(20):
        fill_uniforms(KEY, stream, 0, uniforms)
        fill_normals(KEY, stream + 100, 0, normals)
        chances += [kstest(uniforms, "uniform").pvalue, kstest(normals, "norm").pvalue]

    # Forty honest p-values are themselves uniform.
    assert min(chances) > 0.0005
    assert kstest(chances, "uniform").pvalue > 0.01


def test_the_normal_quantile_equals_scipys():
    shares = np.concatenate((np.linspace(1e-6, 1 - 1e-6, 5_001), 10.0 ** -np.arange(7, 16)))

    assert [normal_quantile(p) for p in shares] == pytest.approx(norm.ppf(shares), rel=1e-13, abs=1e-15)


def test_averages_forget_at_their_rate_wherever_they_start():
    whole, part = np.empty(50_000), np.empty(5)
    fill_averages(KEY, 9, 1_000, 0.9, whole)
    fill_averages(KEY, 9, 1_777, 0.9, part)

    assert (part == whole[777:782]).all()
    assert whole.std() == pytest.approx(1.0, abs=0.04)
    assert [np.corrcoef(whole[k:], whole[:-k])[0, 1] for k in (1, 5)] == pytest.approx([0.9, 0.9**5], abs=0.03)
