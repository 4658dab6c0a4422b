"""Which error code a failure becomes: the one border between our exceptions and JSON-RPC.

Messages of ``P2PChatError`` are written for the local person and pass as they are. Anything else
is a defect: it is logged by the caller and answered without a word of what happened inside.
"""

from __future__ import annotations

from typing import Final

from p2pchat.errors import (
    ContactError,
    DamagedStateError,
    DamagedStoreError,
    IdentityError,
    LockedError,
    NoProfileError,
    P2PChatError,
    ProfileExistsError,
    ProfileInUseError,
    TrustError,
    UnknownContactError,
    UnreachableError,
    UsageError,
)
from p2pchat.rpc.protocol import RpcCode, RpcError

DAMAGED: Final = "damaged"
"""``kind`` of a ``FAILED`` answer whose cause is a damaged store."""

_TABLE: Final[tuple[tuple[type[P2PChatError], RpcCode, str], ...]] = (
    (LockedError, RpcCode.LOCKED, ""),
    (UnknownContactError, RpcCode.UNKNOWN_CONTACT, ""),
    (UnreachableError, RpcCode.UNREACHABLE, ""),
    (TrustError, RpcCode.TRUST, ""),
    (UsageError, RpcCode.INVALID_PARAMS, ""),
    (IdentityError, RpcCode.INVALID_PARAMS, ""),
    (DamagedStoreError, RpcCode.FAILED, DAMAGED),
    (DamagedStateError, RpcCode.FAILED, DAMAGED),
    (NoProfileError, RpcCode.FAILED, "no_profile"),
    (ProfileExistsError, RpcCode.FAILED, "profile_exists"),
    (ProfileInUseError, RpcCode.FAILED, "profile_in_use"),
    (ContactError, RpcCode.FAILED, "contact"),
    (P2PChatError, RpcCode.FAILED, ""),
)
"""The first class that fits decides, so narrow ones come before their bases."""


def to_rpc_error(error: Exception) -> RpcError:
    """Return what a caller is told about ``error``."""
    if isinstance(error, RpcError):
        return error
    for kind_of_error, code, kind in _TABLE:
        if isinstance(error, kind_of_error):
            return RpcError(code, str(error), kind=kind)
    return RpcError(RpcCode.INTERNAL_ERROR, "internal error; the log says which")
