"""The profile on disk: one encrypted database, its key file, its lock.

Rooms above use ``ports`` (what a store is), ``records`` and ``audit_types`` (what it keeps),
``profile`` (where it is) and ``open`` (how it is made and unlocked); everything else is theirs
alone.
"""
