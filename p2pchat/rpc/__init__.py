"""JSON-RPC 2.0 over standard streams and over the profile's Unix socket."""
