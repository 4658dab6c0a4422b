"""ratchet"""
