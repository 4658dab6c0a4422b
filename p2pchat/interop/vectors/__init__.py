"""Test vectors for every step of the protocol, made from seeds: the same bytes each time.

One module for each topic gives the content of one or more files; ``command`` writes, prints and
checks them. Each file has ``cases``, with all inputs and outputs, and ``refused``: inputs that a
reader has to refuse, and with what.
"""
