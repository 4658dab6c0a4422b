"""The conformance kit: what another implementation, or a doubter, checks ours with.

``noise_vectors`` checks published test vectors against the Noise engine; ``vectors`` makes and
checks this protocol's own; ``peer`` is a scripted peer that echoes; ``check`` plays either role
against another implementation, misbehaves on purpose, and reports each requirement. ``personas``
and ``forging`` give them keys that follow from a seed, and pieces made right or wrong to order.

Nothing here is used by a node.
"""
