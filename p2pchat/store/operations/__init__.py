"""The operations of ``ports.Transaction`` as SQL, by subject; ``transaction`` joins them.

Records go in and out whole. Nothing here decides, except that a late event undoes nothing.
"""
