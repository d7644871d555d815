"""Counter-based random numbers: number `i` of a stream is a function of (key, stream, i) and of nothing else.

The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11).
Every 128-bit output holds four numbers, so number `i` is lane `i & 3` of counter `i >> 2`.
"""

import hashlib
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Words = tuple[np.uint64, np.uint64, np.uint64, np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)

# Numerators and denominators of algorithm AS 241, highest power first.
# fmt: off
_CENTRE = np.array(
    [
        [2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
         13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080],
        [5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
         5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0],
    ]
)
_TAIL = np.array(
    [
        [7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
         3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734],
        [1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
         6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0],
    ]
)
_FAR_TAIL = np.array(
    [
        [2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
         2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720],
        [2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
         1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0],
    ]
)
# fmt: on


def stream_key(seed: int, name: str) -> np.uint64:
    """64-bit Philox key of everything drawn for one name, e.g. an instrument id, under one seed."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


@njit(cache=True, nogil=True)
def philox(index: int, stream: int, key: np.uint64) -> Words:
    """Four 32-bit words of counter `index`, `stream` under `key`."""
    c0, c1 = np.uint64(index) & _LOW, np.uint64(index) >> _32
    c2, c3 = np.uint64(stream) & _LOW, np.uint64(stream) >> _32
    k0, k1 = key & _LOW, key >> _32
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@njit(cache=True, nogil=True)
def unit(word: np.uint64) -> float:
    """A 32-bit word as a number strictly between 0 and 1."""
    return (float(word) + 0.5) * 2.0**-32


@njit(cache=True, nogil=True)
def fill_uniforms(key: np.uint64, stream: int, first: int, out: Floats) -> None:
    """Write numbers `first`, `first` + 1, … of a stream, uniform on (0, 1), into `out`."""
    words = philox(first >> 2, stream, key)
    for k in range(len(out)):
        lane = (first + k) & 3
        if lane == 0:
            words = philox((first + k) >> 2, stream, key)
        out[k] = unit(words[lane])


@njit(cache=True, nogil=True)
def fill_normals(key: np.uint64, stream: int, first: int, out: Floats) -> None:
    """Write numbers `first`, `first` + 1, … of a stream, standard normal, into `out`."""
    fill_uniforms(key, stream, first, out)
    for k in range(len(out)):
        out[k] = normal_quantile(out[k])


@njit(cache=True, nogil=True)
def fill_averages(key: np.uint64, stream: int, first: int, decay: float, out: Floats) -> None:
    """Write a stationary series of unit variance that forgets by `decay` a step: ρ(k) = decay^k.

    Each value is the moving average of the stream's own normals with weights decay^j, cut where they fall below
    1e-6, so it is found without knowing any earlier value and does not depend on where `first` is.
    """
    taps = math.ceil(math.log(1e-6) / math.log(decay))
    noise = np.empty(len(out) + taps)
    fill_normals(key, stream, first - taps, noise)
    weights = math.sqrt(1.0 - decay * decay) * decay ** np.arange(taps + 1)
    for k in range(len(out)):
        total = 0.0
        for j in range(taps + 1):
            total += weights[j] * noise[k + taps - j]
        out[k] = total


@njit(cache=True, nogil=True)
def _ratio(numerator: Floats, denominator: Floats, r: float) -> float:
    """Quotient of two polynomials, highest power first."""
    above, below = 0.0, 0.0
    for k in range(len(numerator)):
        above = above * r + numerator[k]
        below = below * r + denominator[k]
    return above / below


@njit(cache=True, nogil=True)
def normal_quantile(p: float) -> float:
    """The standard normal value below which a share `p` lies, 0 < p < 1.

    Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988),
    routine PPND16: relative error about 1e-16.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_CENTRE[0], _CENTRE[1], 0.180625 - q * q)
    r = math.sqrt(-math.log(min(p, 1.0 - p)))
    value = _ratio(_TAIL[0], _TAIL[1], r - 1.6) if r <= 5.0 else _ratio(_FAR_TAIL[0], _FAR_TAIL[1], r - 5.0)
    return -value if q < 0.0 else value
