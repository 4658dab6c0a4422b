"""The one border to PyNaCl and ``cryptography`` (protocol.md §2).

Nothing above this room imports either library, and nothing of theirs leaves it: keys come in as
``Secret`` or ``bytes``, exceptions leave as ``p2pchat.errors.CryptoError``. No module here has
a default source of randomness; callers pass an ``Rng``.
"""
