"""ML-KEM-768 encapsulation from given randomness, after FIPS 203, for test vectors.

The library draws the randomness of an encapsulation itself, so vectors that anybody can make again
need another hand. It is also a second opinion on the library. Slow, and not in constant time: of
no use outside tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha3_256, sha3_512, shake_128, shake_256
from typing import Final

Q: Final = 3329
N: Final = 256
K: Final = 3
ETA: Final = 2
DU: Final = 10
DV: Final = 4
ROOT: Final = 17
"""A primitive 256th root of unity modulo Q."""

Poly = list[int]


def _bit_reversed(number: int) -> int:
    return int(f"{number:07b}"[::-1], 2)


ZETAS: Final = [pow(ROOT, _bit_reversed(i), Q) for i in range(128)]
GAMMAS: Final = [pow(ROOT, 2 * _bit_reversed(i) + 1, Q) for i in range(128)]


def encapsulate(encapsulation_key: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    """Return ciphertext and shared secret (ML-KEM.Encaps_internal, algorithm 17)."""
    expanded = sha3_512(randomness + sha3_256(encapsulation_key).digest()).digest()
    return _encrypt(encapsulation_key, randomness, expanded[32:]), expanded[:32]


def _encrypt(key: bytes, message: bytes, randomness: bytes) -> bytes:
    """K-PKE.Encrypt, algorithm 14."""
    t = [_unpack(key[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    rho = key[384 * K :]
    noise = [
        _binomial(shake_256(randomness + bytes([n])).digest(64 * ETA)) for n in range(2 * K + 1)
    ]
    y = [_ntt(poly) for poly in noise[:K]]
    parts = []
    for i in range(K):
        row = [_sample(rho + bytes([i, j])) for j in range(K)]  # of the transposed matrix
        u = _add(_inverse_ntt(_inner(row, y)), noise[K + i])
        parts.append(_pack(_compress(u, DU), DU))
    mu = [(Q + 1) // 2 * bit for bit in _unpack(message, 1)]
    v = _add(_add(_inverse_ntt(_inner(t, y)), noise[2 * K]), mu)
    return b"".join(parts) + _pack(_compress(v, DV), DV)


def _sample(seed: bytes) -> Poly:
    """SampleNTT, algorithm 7."""
    stream = shake_128(seed).digest(3 * 1024)
    poly: Poly = []
    for a, b, c in zip(*[iter(stream)] * 3, strict=True):
        poly += [d for d in (a + 256 * (b % 16), b // 16 + 16 * c) if d < Q]
        if len(poly) >= N:
            return poly[:N]
    raise AssertionError("3 KiB of a stream that yields 2 numbers for 3 bytes at 4 in 5")


def _binomial(data: bytes) -> Poly:
    """SamplePolyCBD with eta = 2, algorithm 8."""
    bits = _unpack(data, 1)
    return [
        (bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % Q for i in range(N)
    ]


def _ntt(poly: Poly) -> Poly:
    """Algorithm 9."""
    f, i, length = list(poly), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        length //= 2
    return f


def _inverse_ntt(poly: Poly) -> Poly:
    """Algorithm 10."""
    f, i, length = list(poly), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [x * 3303 % Q for x in f]  # 3303 is the inverse of 128


def _inner(left: Sequence[Poly], right: Sequence[Poly]) -> Poly:
    """The sum of products in the NTT domain, algorithms 11 and 12."""
    total = [0] * N
    for f, g in zip(left, right, strict=True):
        for i in range(128):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            total[2 * i] += a0 * b0 + a1 * b1 * GAMMAS[i]
            total[2 * i + 1] += a0 * b1 + a1 * b0
    return [x % Q for x in total]


def _add(left: Poly, right: Poly) -> Poly:
    return [(a + b) % Q for a, b in zip(left, right, strict=True)]


def _compress(poly: Poly, bits: int) -> Poly:
    """Round x * 2^bits / Q to the nearest (§4.2.1)."""
    return [((x << (bits + 1)) + Q) // (2 * Q) % (1 << bits) for x in poly]


def _pack(poly: Poly, bits: int) -> bytes:
    """ByteEncode, algorithm 5: one long little-endian number."""
    number = sum(x << (bits * i) for i, x in enumerate(poly))
    return number.to_bytes(len(poly) * bits // 8, "little")


def _unpack(data: bytes, bits: int) -> Poly:
    """ByteDecode, algorithm 6."""
    number, mask = int.from_bytes(data, "little"), (1 << bits) - 1
    return [number >> (bits * i) & mask for i in range(len(data) * 8 // bits)]
