"""Who a peer is: identity key, certificate, contact link, safety number, trust (protocol.md §3)."""
