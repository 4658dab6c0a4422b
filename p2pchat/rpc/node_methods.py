"""The node itself, its identity and keys, its backup and its audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from p2pchat.crypto.secret import Secret
from p2pchat.rpc import params as p
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.store.unlocking import KeychainUnlock, PassphraseUnlock

if TYPE_CHECKING:
    from p2pchat.node.node import Node


class NodeMethods:
    """``node.*``, ``identity.*``, ``key.*``, ``backup.*`` and ``audit.*``."""

    def __init__(self, node: Node, on_stop: Callable[[], None] | None) -> None:
        self._node = node
        self._on_stop = on_stop

    def table(self) -> p.Methods:
        """Return the methods by name."""
        return {
            "node.status": (p.Params, self._status),
            "node.stop": (p.Params, self._stop),
            "identity.show": (p.Params, self._identity),
            "key.status": (p.Params, self._key_status),
            "key.rotate": (p.Params, self._key_rotate),
            "key.revocation": (p.Params, self._revocation),
            "key.revoke": (p.RevokeParams, self._revoke),
            "key.passphrase": (p.PassphraseParams, self._change_passphrase),
            "key.keychain": (p.KeychainParams, self._change_to_keychain),
            "backup.create": (p.BackupParams, self._backup),
            "audit.list": (p.AuditParams, self._audit_list),
            "audit.warnings": (p.Params, self._audit_warnings),
            "audit.verify": (p.Params, self._audit_verify),
            "audit.export": (p.Params, self._audit_export),
        }

    async def _status(self, _: p.Params) -> object:
        view = self._node.status()
        return {
            "version": view.version,
            "peer_id": view.peer_id,
            "listen": list(view.listen),
            "contacts_online": view.contacts_online,
        }

    async def _stop(self, _: p.Params) -> object:
        if self._on_stop is None:
            raise RpcError(RpcCode.FAILED, "this process cannot be stopped from outside")
        self._on_stop()
        return {}

    async def _identity(self, _: p.Params) -> object:
        view = self._node.identity()
        shown: dict[str, Any] = {"name": view.name, "peer_id": view.peer_id, "link": view.link}
        if view.revoked_at_ms is not None:
            shown["revoked_at_ms"] = view.revoked_at_ms
        return shown

    async def _key_status(self, _: p.Params) -> object:
        return [asdict(view) for view in await self._node.key_status()]

    async def _key_rotate(self, _: p.Params) -> object:
        return asdict(await self._node.rotate_key())

    async def _revocation(self, _: p.Params) -> object:
        return {"certificate": self._node.revocation_certificate()}

    async def _revoke(self, params: p.RevokeParams) -> object:
        view = await self._node.revoke(params.certificate)
        return {
            "peer_id": view.peer_id,
            "ours": view.ours,
            "contact": view.contact,
            "untold": view.untold,
        }

    async def _change_passphrase(self, params: p.PassphraseParams) -> object:
        new = PassphraseUnlock(Secret(params.new))
        await self._node.locks.change(old=p.to_unlock(params.old), new=new)
        return {}

    async def _change_to_keychain(self, params: p.KeychainParams) -> object:
        await self._node.locks.change(old=p.to_unlock(params.old), new=KeychainUnlock())
        return {}

    async def _backup(self, params: p.BackupParams) -> object:
        made = await self._node.back_up(params.path, Secret(params.passphrase))
        return {
            "made_at_ms": made.made_at_ms,
            "contacts": made.contacts,
            "messages": made.messages,
        }

    async def _audit_list(self, params: p.AuditParams) -> object:
        records = await self._node.audit.records(params.limit, params.kind)
        return [asdict(record) for record in records]

    async def _audit_warnings(self, _: p.Params) -> object:
        return [asdict(warning) for warning in self._node.audit.warnings()]

    async def _audit_verify(self, _: p.Params) -> object:
        report = await self._node.audit.verify()
        return {
            "ok": report.log is not None,
            "finding": report.finding,
            "sequence": report.sequence,
            "head_outside": report.has_witness,
            "first": report.log.first if report.log else 0,
            "last": report.log.last if report.log else 0,
            "checkpoints": report.log.checkpoints if report.log else 0,
        }

    async def _audit_export(self, _: p.Params) -> object:
        return {"lines": [line.decode("ascii") for line in await self._node.audit.export()]}
