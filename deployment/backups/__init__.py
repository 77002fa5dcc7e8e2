"""Backups of a state folder: taken from a running house, kept for a while, restored elsewhere, and proved by a drill."""
