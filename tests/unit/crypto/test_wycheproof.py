"""Wycheproof against p2pchat.crypto (R-2.2.1, R-2.3.1); the files are in tests/vectors."""

from __future__ import annotations

import pytest

from tests.unit.crypto.wycheproof import FILES, Case, cases, declared_count


@pytest.mark.parametrize("file_name", FILES)
def test_every_case_is_decided_as_wycheproof_says(file_name: str) -> None:
    check, _ = FILES[file_name]
    outcomes = {case["tcId"]: check(case) for case in cases(file_name)}
    assert len(outcomes) == declared_count(file_name)
    assert {number: wrong for number, wrong in outcomes.items() if wrong} == {}


@pytest.mark.parametrize("file_name", FILES)
@pytest.mark.parametrize("byte", [0, -1])
def test_every_case_with_a_flipped_expectation_fails(file_name: str, byte: int) -> None:
    """Each accepted case, once what it expects has one wrong bit; so the checks above do check."""
    check, field = FILES[file_name]
    accepted = [
        case
        for case in cases(file_name)
        if case["result"] != "invalid" and "ZeroSharedSecret" not in case["flags"]
    ]
    assert accepted
    assert [case["tcId"] for case in accepted if check(flipped(case, field, byte)) is None] == []


@pytest.mark.parametrize("file_name", FILES)
def test_every_refused_case_called_valid_fails(file_name: str) -> None:
    check, _ = FILES[file_name]
    refused = [case for case in cases(file_name) if case["result"] == "invalid"]
    assert bool(refused) == (file_name != "x25519_test.json")
    relabelled = [{**case, "result": "valid"} for case in refused]
    assert [case["tcId"] for case in relabelled if check(case) is None] == []


def test_every_zero_shared_secret_is_refused() -> None:
    """R-2.2.1: all 31 of them, also where Wycheproof would let them pass."""
    check, _ = FILES["x25519_test.json"]
    zero = [case for case in cases("x25519_test.json") if "ZeroSharedSecret" in case["flags"]]
    assert len(zero) == 31
    assert [case["tcId"] for case in zero if check(case)] == []
    without_flag = [{**case, "flags": []} for case in zero]
    assert [case["tcId"] for case in without_flag if check(case) is None] == []


@pytest.mark.parametrize("field", ["seed", "ek", "c"])
def test_every_ml_kem_case_with_a_flipped_input_fails(field: str) -> None:
    """A wrong ciphertext among them: implicit rejection gives another secret."""
    check, _ = FILES["mlkem_768_test.subset.json"]
    accepted = [case for case in cases("mlkem_768_test.subset.json") if case["result"] == "valid"]
    assert len(accepted) == 11
    assert [case["tcId"] for case in accepted if check(flipped(case, field, 0)) is None] == []


def flipped(case: Case, field: str, byte: int) -> Case:
    value = bytearray.fromhex(case[field])
    value[byte] ^= 0x01
    return {**case, field: value.hex()}
