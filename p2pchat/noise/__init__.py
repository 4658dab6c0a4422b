"""The Noise engine, revision 34 (protocol.md §5).

``handshake`` runs the patterns that ``patterns`` holds as tables, over the symmetric state and the
ciphers of ``symmetric``. The room knows nothing of what the payloads mean.
"""
