"""The quality gate: pure checks of single rows, and what can be told from the rows before."""
