from __future__ import annotations

import pytest

from p2pchat.errors import LocalProtocolError
from p2pchat.noise.patterns import Pattern, parse_pattern, parse_protocol_name
from tests.unit.noise.pairs import XX, make_pair


def spelt(pattern: Pattern) -> str:
    """Write a pattern in the notation of Noise §7, the initiator's arrows to the right."""
    lines = []
    if pattern.pre_initiator:
        lines.append("-> " + ", ".join(pattern.pre_initiator))
    if pattern.pre_responder:
        lines.append("<- " + ", ".join(pattern.pre_responder))
    if lines:
        lines.append("...")
    for number, tokens in enumerate(pattern.messages):
        lines.append(("<- " if number % 2 else "-> ") + ", ".join(tokens))
    return "; ".join(lines)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NN", "-> e; <- e, ee"),
        ("KK", "-> s; <- s; ...; -> e, es, ss; <- e, ee, se"),
        ("XX", "-> e; <- e, ee, s, es; -> s, se"),
        ("IK", "<- s; ...; -> e, es, s, ss; <- e, ee, se"),
        ("XXpsk0", "-> psk, e; <- e, ee, s, es; -> s, se"),
        ("XXpsk1", "-> e, psk; <- e, ee, s, es; -> s, se"),
        ("XXpsk3", "-> e; <- e, ee, s, es; -> s, se, psk"),
        ("NNpsk0+psk2", "-> psk, e; <- e, ee, psk"),
        ("IKpsk2", "<- s; ...; -> e, es, s, ss; <- e, ee, se, psk"),
        # The former responder is the initiator, so es and se have changed places (Noise §10.2).
        ("XXfallback", "<- e; ...; -> e, ee, s, se; <- s, es"),
        ("XXfallback+psk0", "<- e; ...; -> psk, e, ee, s, se; <- s, es"),
        ("NNfallback", "<- e; ...; -> e, ee"),
        # The hfs draft's table of examples has these; its KKhfs breaks its own rule, which counts.
        ("NNhfs", "-> e, e1; <- e, ee, ekem1"),
        ("XXhfs", "-> e, e1; <- e, ee, ekem1, s, es; -> s, se"),
        ("IKhfs", "<- s; ...; -> e, es, e1, s, ss; <- e, ee, ekem1, se"),
        ("KKhfs", "-> s; <- s; ...; -> e, es, e1, ss; <- e, ee, ekem1, se"),
        ("XXhfs+psk0", "-> psk, e, e1; <- e, ee, ekem1, s, es; -> s, se"),
        ("XXpsk0+hfs", "-> psk, e, e1; <- e, ee, ekem1, s, es; -> s, se"),
        ("IKhfs+psk2", "<- s; ...; -> e, es, e1, s, ss; <- e, ee, ekem1, se, psk"),
    ],
)
def test_patterns_and_their_modifiers(name: str, expected: str) -> None:
    assert spelt(parse_pattern(name)) == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "no handshake pattern"),
        ("xx", "no handshake pattern"),
        ("XN", "no handshake pattern"),
        ("X1X", "no handshake pattern"),
        ("XX+psk0", "no handshake pattern"),
        ("XXpsk0+", "no handshake pattern"),
        ("XXpsk0++psk1", "no handshake pattern"),
        ("XXPSK0", "no handshake pattern"),
        ("XX psk0", "no handshake pattern"),
        ("XXpsk0\n", "no handshake pattern"),
        ("XXhfs1", "no pattern modifier 'hfs1'"),
        ("XXhfs+hfs", "repeated"),
        ("XXhfs+fallback", "fallback cannot carry hfs"),
        ("XXfallback+hfs", "fallback cannot carry hfs"),
        ("NNfallback+psk0+hfs", "fallback cannot carry hfs"),
        ("XXpsk", "no pattern modifier 'psk'"),
        ("XXpsk01", "no pattern modifier 'psk01'"),
        ("XXpsk4", "psk4 in a pattern of 3 messages"),
        ("NNpsk3", "psk3 in a pattern of 2 messages"),
        ("XXpsk0+psk0", "repeated"),
        ("IKfallback", "public keys only"),
        ("KKfallback", "public keys only"),
        ("XXpsk0+fallback", "public keys only"),
        ("XXfallback+fallback", "repeated"),
    ],
)
def test_other_patterns_are_refused(name: str, complaint: str) -> None:
    """R-5.5.7."""
    with pytest.raises(LocalProtocolError, match=complaint):
        parse_pattern(name)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "not a Noise protocol name"),
        ("Noise_XX_25519_ChaChaPoly", "not a Noise protocol name"),
        (XX + "_", "not a Noise protocol name"),
        ("noise_XX_25519_ChaChaPoly_SHA256", "not a Noise protocol name"),
        ("NoisePSK_XX_25519_ChaChaPoly_SHA256", "not a Noise protocol name"),
        ("Noise_XX_25519_ChaChaPoly_" + "S" * 230, "not a Noise protocol name"),
        ("Noise_XX_448_ChaChaPoly_SHA256", "no DH function '448'"),
        ("Noise_XXhfs_25519+MLKEM1024_ChaChaPoly_SHA256", r"no DH function '25519\+MLKEM1024'"),
        ("Noise_XXhfs_25519_ChaChaPoly_SHA256", r"hfs and 25519\+MLKEM768 need each other"),
        ("Noise_XX_25519+MLKEM768_ChaChaPoly_SHA256", "need each other"),
        ("Noise_XX_25519_AESGCM_SHA256", "no cipher 'AESGCM'"),
        ("Noise_XX_25519_ChaChaPoly_SHA1", "no hash function 'SHA1'"),
        ("Noise_XX_25519_ChaChaPoly_sha256", "no hash function 'sha256'"),
        ("Noise_XX_25519_ChaChaPoly_SHA256\x1b[2J", r"no hash function 'SHA256\\x1b\[2J'"),
        ("Noise_\u202eXX_25519_ChaChaPoly_SHA256", r"no handshake pattern '\\u202eXX'"),
    ],
)
def test_other_protocol_names_are_refused_in_printable_words(name: str, complaint: str) -> None:
    """R-5.5.8."""
    with pytest.raises(LocalProtocolError, match=complaint) as caught:
        parse_protocol_name(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("pattern", "overheads"),
    [
        ("XX", [32, 96, 64]),
        ("NN", [32, 48]),
        ("KK", [48, 48]),
        ("IK", [96, 48]),
        ("XXpsk0", [48, 96, 64]),
        ("XXpsk3", [48, 96, 64]),
        ("XXfallback", [96, 64]),
        ("XXfallback+psk2", [96, 64]),
        ("XXhfs", [1216, 1200, 64]),
        ("IKhfs", [1296, 1152]),
        ("NNhfs", [1216, 1152]),
        ("KKhfs", [1248, 1152]),
        ("XXhfs+psk0", [1248, 1200, 64]),
    ],
)
def test_overheads_are_what_messages_with_empty_payloads_measure(
    pattern: str, overheads: list[int]
) -> None:
    """R-5.1.2, R-5.2.3, R-5.5.2: for XX 32, 96 and 64 bytes; hfs adds 1184 and 1088, or 16 more."""
    dh = "25519+MLKEM768" if "hfs" in pattern else "25519"
    name = f"Noise_{pattern}_{dh}_ChaChaPoly_SHA256"
    assert [message.overhead for message in parse_protocol_name(name).messages] == overheads
    pair = make_pair(name)
    lengths = []
    while not pair.initiator.is_complete:
        writer, reader = pair.turn()
        message = writer.write_message()
        assert reader.read_message(message) == b""
        lengths.append(len(message))
    assert lengths == overheads
