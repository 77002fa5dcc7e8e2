"""The operator's desk: where people halt, forbid, ask, sign and look while the house runs."""
