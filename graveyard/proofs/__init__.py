"""What the rules guarantee, for all acts at once, and how that is known: statements, a solver, witnesses, golden rows.

`ark rules prove` runs it. `properties` says what must hold, `induction` what no sequence of steps may leave,
`entirety` what holds of the rules as a whole; `prove` asks the solver and replays what it shows; `golden` keeps a
few hundred decisions in a file, `mutants` loosens every part of every clause and demands that somebody notices,
`report` is what the seal covers. Only `smt`, `prove`, `induction`, `entirety`, `mutants` and `compare` need z3.
"""
