"""Backups: one encrypted file that holds a profile, and a new profile made of it."""
