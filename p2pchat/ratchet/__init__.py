"""Signal's Double Ratchet, revision 4, with header encryption (protocol.md §6).

A pure function: ``(state, input) -> (state', output)``. ``double_ratchet`` holds the algorithm,
``schedule`` its key derivations, ``hybrid`` when a KEM takes part in them, ``header`` its bytes
on the wire, ``skipped`` the keys of messages that have not come yet, ``state`` what a side
remembers and ``snapshot`` how that is stored. Nothing here knows of connections, storage or time.
"""
