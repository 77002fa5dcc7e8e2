"""Drills: a fault is put into an agent of a running paper house, and what follows is measured from outside."""
