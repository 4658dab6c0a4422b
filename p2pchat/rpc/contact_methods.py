"""Contacts: who they are, what we think of them, how they are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pchat.rpc import params as p
from p2pchat.rpc import shapes

if TYPE_CHECKING:
    from p2pchat.node.node import Node


class ContactMethods:
    """``contact.*``, but for what is kept of a conversation."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def table(self) -> p.Methods:
        """Return the methods by name."""
        return {
            "contact.add": (p.AddParams, self._add),
            "contact.list": (p.Params, self._contacts),
            "contact.accept": (p.ContactParams, self._accept),
            "contact.decline": (p.ContactParams, self._decline),
            "contact.block": (p.ContactParams, self._block),
            "contact.keep": (p.ContactParams, self._keep),
            "contact.remove": (p.ContactParams, self._remove),
            "contact.retry": (p.RetryParams, self._retry),
            "contact.address": (p.AddressParams, self._address),
            "contact.safety_number": (p.ContactParams, self._safety_number),
            "contact.verify": (p.VerifyParams, self._verify),
            "contact.compare": (p.CompareParams, self._compare),
            "contact.compare_cancel": (p.ContactParams, self._compare_cancel),
            "contact.compare_again": (p.ContactParams, self._compare_again),
        }

    async def _add(self, params: p.AddParams) -> object:
        view = await self._node.add_contact(params.link, params.name, params.note)
        return {"contact": view.contact}

    async def _contacts(self, _: p.Params) -> object:
        return [shapes.contact(view) for view in await self._node.contacts()]

    async def _accept(self, params: p.ContactParams) -> object:
        await self._node.accept(params.contact)
        return {}

    async def _decline(self, params: p.ContactParams) -> object:
        await self._node.decline(params.contact)
        return {}

    async def _block(self, params: p.ContactParams) -> object:
        await self._node.block(params.contact)
        return {}

    async def _keep(self, params: p.ContactParams) -> object:
        await self._node.keep(params.contact)
        return {}

    async def _remove(self, params: p.ContactParams) -> object:
        await self._node.remove(params.contact)
        return {}

    async def _retry(self, params: p.RetryParams) -> object:
        self._node.retry(params.contact)
        return {}

    async def _address(self, params: p.AddressParams) -> object:
        await self._node.set_addresses(params.contact, params.addresses)
        return {}

    async def _safety_number(self, params: p.ContactParams) -> object:
        return {"number": await self._node.safety_number(params.contact)}

    async def _verify(self, params: p.VerifyParams) -> object:
        return {"trust": (await self._node.verify(params.contact, params.number)).value}

    async def _compare(self, params: p.CompareParams) -> object:
        state = await self._node.compare(params.contact, params.secret)
        return {"state": state, "contact": (await self._node.contact(params.contact)).contact}

    async def _compare_cancel(self, params: p.ContactParams) -> object:
        self._node.compare_cancel(params.contact)
        return {}

    async def _compare_again(self, params: p.ContactParams) -> object:
        await self._node.compare_again(params.contact)
        return {}
