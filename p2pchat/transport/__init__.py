"""Byte streams between two hosts: TCP, and an in-memory one with faults (protocol.md §4).

A transport moves bytes and knows nothing of what they mean. Nobody is authenticated here and
nothing is encrypted here; both happen in ``session`` above it.
"""
