"""Every figure that the protocol or its limits fix, with its reason (protocol.md §11).

Specification constants come first: a peer that differs does not interoperate. Implementation
limits follow: a peer may differ and still talk. A test holds this file against protocol.md.
"""

from __future__ import annotations

from typing import Final

# --- Specification: lengths in bytes ------------------------------------------------------------

KEY_LEN: Final = 32
"""X25519, Ed25519, ChaCha20-Poly1305 and chain keys alike."""
TAG_LEN: Final = 16
"""Poly1305 tag (RFC 8439)."""
HASH_LEN: Final = 32
"""SHA-256."""
SIGNATURE_LEN: Final = 64
"""Ed25519 (RFC 8032)."""
NOISE_MESSAGE_MAX_BYTES: Final = 65535
"""Noise §3: a message with its tag; also the largest frame, since the prefix has 16 bits."""
TRANSPORT_PLAINTEXT_MAX_BYTES: Final = NOISE_MESSAGE_MAX_BYTES - TAG_LEN
"""Largest plaintext of one transport frame."""
FRAME_PREFIX_LEN: Final = 2
"""Big-endian length before each frame (§4.1)."""

MAGIC: Final = b"p2pchat\n"
"""First bytes of a connection (§4.2)."""
OFFER_MAX_BYTES: Final = 512
"""An offer names versions, suites and features; 512 B leave room for 250 of them."""
PROTOCOL_MAJOR: Final = 1
"""Versions with another major number do not interoperate (§13)."""
PROTOCOL_MINOR: Final = 0
"""Minor versions add optional parts only (§13)."""

HANDSHAKE_PADDING_BYTES: Final = 512
"""Handshake payloads are padded to a multiple of this (§5.3): lengths tell nothing."""
PADDING_BUCKETS: Final = (
    256,
    512,
    1024,
    2048,
    4096,
    8192,
    16384,
    32768,
    TRANSPORT_PLAINTEXT_MAX_BYTES,
)
"""Plaintext sizes of transport frames (§7.2): doubling leaks 4 bits of a length at most."""

TEXT_MAX_BYTES: Final = 65536
"""UTF-8 bytes of one text message (§9.2): 64 KiB is a long letter."""
NOTE_MAX_CHARS: Final = 280
"""A stranger's contact request says this much, then is silent until accepted (§8.3)."""
NAME_MAX_BYTES: Final = 64
"""UTF-8 bytes of a name in a link or greeting."""
ADDRESS_MAX_BYTES: Final = 262
"""A 255-byte host name, a colon, a 5-digit port, and one byte for a bracketed IPv6's spare."""
LINK_ADDRESSES_MAX: Final = 8
"""Addresses in one contact link (§3.4)."""
LINK_MAX_CHARS: Final = 4096
"""No valid link is longer; checked before it is decoded."""
GREETING_MAX_BYTES: Final = 2048
"""msgpack bytes of a HELLO (§8.3)."""
NOTICE_MAX_BYTES: Final = 1024
"""Body of a notice (§7.8): a few keys and signatures; fits a frame of cover traffic."""
CONTENT_MAX_BYTES: Final = TEXT_MAX_BYTES + 4096
"""msgpack bytes of one application message: the longest text and its other fields (§9)."""
ENVELOPE_MAX_BYTES: Final = CONTENT_MAX_BYTES + 4096
"""One encrypted ratchet message with its header; larger ones are refused before assembly."""
MSGPACK_MAX_DEPTH: Final = 8
"""Deeper nesting exhausts parsers; nothing here needs more than two levels."""
MESSAGE_ID_LEN: Final = 16
"""Random; 2^64 messages before a collision is likely."""
KIND_MAX_CHARS: Final = 32
"""Characters of the name of a kind of message (§9.2)."""
EDIT_WINDOW_MS: Final = 24 * 3600 * 1000
"""From a message's time to that of its last edit (§9.5): what was read long ago stays as it was."""
REACTION_MAX_BYTES: Final = 64
"""UTF-8 bytes of a reaction (§9.5): the longest emoji sequences have about 40."""
TIMER_MIN_S: Final = 5
"""Shortest time until messages disappear (§9.6): enough to read a line."""
TIMER_MAX_S: Final = 365 * 24 * 3600
"""Longest time until messages disappear (§9.6)."""
SESSION_ID_LEN: Final = 16
"""Derived with the session's keys (§6.1)."""

MAX_SKIP: Final = 1000
"""Message keys derived ahead in one step (§6.5): bounds the work that one message can cause."""
MAX_STORED_SKIPPED_KEYS: Final = 2000
"""Kept in all; the oldest is evicted, since a full store that refuses would brick the session."""
SKIPPED_KEY_MAX_CHAINS: Final = 5
"""A skipped key is dropped after this many later receiving chains."""
SKIPPED_KEY_MAX_MESSAGES: Final = 1000
"""A skipped key is dropped after this many later received messages."""
KEM_INTERVAL_MESSAGES: Final = 50
"""Messages between two hybrid steps (§6.7): rare enough to cost nothing, and soon healed."""

CERTIFICATE_LIFETIME_MS: Final = 90 * 24 * 3600 * 1000
"""A static key's certificate, from its not-before time (§3.3)."""
CERTIFICATE_CLOCK_SKEW_MS: Final = 7 * 24 * 3600 * 1000
"""Clocks of people's computers differ; certificates are accepted this much too early or late."""
STATIC_KEY_OVERLAP_MS: Final = 14 * 24 * 3600 * 1000
"""A static key answers this long after its successor was made (§3.3): time to meet everybody."""
STATEMENT_KEY_LIFETIME_MS: Final = 365 * 24 * 3600 * 1000
"""A statement key's certificate (§9.4); the statements that it signed hold for good."""
SAFETY_NUMBER_ITERATIONS: Final = 5200
"""SHA-512 calls per fingerprint, as libsignal (§3.5)."""
SAFETY_NUMBER_DIGITS: Final = 60
"""Thirty of each side."""

PHRASE_MIN_CHARS: Final = 4
"""Characters of a phrase to compare (§3.8); with three tries even a short word is a fair one."""
PHRASE_MAX_BYTES: Final = 256
"""UTF-8 bytes of a normalised phrase (§3.8)."""
COMPARE_TRIES: Final = 3
"""Wrong phrases with one contact before the person has to allow more (§3.8)."""

# --- Specification: time, in seconds --------------------------------------------------------------

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""From the first byte to the peer's authentication, and again to an open session."""
KEEPALIVE_INTERVAL_S: Final = 15.0
"""A PING leaves after this long without sending (§7.4)."""
KEEPALIVE_TIMEOUT_S: Final = 45.0
"""Nothing received for this long: the peer is gone (§7.4)."""
COVER_FRAME_BYTES: Final = 2048
"""Plaintext of each frame while cover traffic is on (§7.7): a bucket that holds a short text."""
REKEY_FRAMES: Final = 1024
"""A sender changes its transport key after this many frames at the latest (§7.6)."""
REKEY_INTERVAL_S: Final = 600.0
"""Or after this long, with its next frame (§7.6)."""
REKEY_TOLERATED_FRAMES: Final = 2 * REKEY_FRAMES
"""A receiver refuses a peer that sends more under one key (§7.6)."""
KEM_INTERVAL_S: Final = 3600.0
"""A hybrid step is due this long after the last one, whatever was said since (§6.7)."""
CONNECTION_LIFETIME_S: Final = 86400.0
"""A connection is then replaced by a new one, with a full handshake (§7.6)."""
COMPARE_TIMEOUT_S: Final = 300.0
"""From the begin of a comparison to its end (§3.8): both people have to be found and to type."""
TYPING_INTERVAL_S: Final = 3.0
"""A side tells no more often than this that its person is writing (§7.8)."""
TYPING_SHOWN_S: Final = 6.0
"""And is shown as writing for so long after it last said so (§7.8)."""
SIMULTANEOUS_OPEN_WINDOW_S: Final = 10.0
"""Two connections made within this window are a simultaneous open (§10.2); later, newest wins."""

# --- Implementation limits ---------------------------------------------------------------------

SEND_WINDOW: Final = 256
"""Envelopes sent and not acknowledged; bounds memory and what a reconnect sends again."""
HANDSHAKES_PER_SECOND: Final = 20
"""Accepted per remote address; each costs us about 0.4 ms of Diffie-Hellman."""
HANDSHAKE_BURST: Final = 5
"""Above the rate, per remote address."""
HALF_OPEN_MAX: Final = 256
"""Unauthenticated connections in all: 24 MB at most (measured)."""
HALF_OPEN_MAX_PER_ADDRESS: Final = 32
"""Unauthenticated connections from one address."""
PENDING_REQUESTS_MAX: Final = 64
"""Authenticated strangers held at once; more are turned away."""
REQUESTS_PER_HOUR_PER_ADDRESS: Final = 6
"""New contact requests shown from one address but loopback, on average: a household is served."""
REQUESTS_BURST_PER_ADDRESS: Final = 8
"""Above the rate, per address."""
REQUEST_QUIET_MS: Final = 24 * 3600 * 1000
"""A declined stranger's next request is not shown for so long (§8.3)."""
DECLINED_MAX: Final = 256
"""Declined strangers remembered; of more the oldest are forgotten. 20 KB."""
SESSION_RESETS_PER_HOUR: Final = 6
"""New sessions with one contact in place of a lost one; more would hide an attack."""
LISTEN_BACKLOG: Final = 4096
"""The default of 100 accepts 286 connections a second, this 11,000 (measured)."""
RECEIVE_BUFFER_BYTES: Final = 1 << 18
"""Read from a socket at once."""
