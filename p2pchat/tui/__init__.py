"""The terminal app: a frozen state, a pure ``reduce``, pure views, and a thin shell around them.

``state`` and ``actions`` are the nouns and verbs, ``model`` the one place where state changes,
``view`` and its neighbours turn state into styled text, ``app`` does everything that touches the
world: the terminal, the clock, the client. No module here speaks to a peer or to the store.
"""
