"""The conformance kit: what another implementation, or a doubter, checks ours with.

``noise_vectors`` checks published test vectors against the Noise engine.
"""
