"""Any sequence of writes, rollbacks, snapshots, prunes and new starts does what a plain list of versions would do."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mutable_core.state.errors import StateConflict, ValuePruned
from mutable_core.state.points import Moment, Named, Point, Revision, Version
from mutable_core.state_manager import StateManager

NAMES = st.sampled_from([("kenny", "a"), ("kenny", "b"), ("joey", "a")])
VALUES = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", "x", (1,), [1]]))
SHARES = st.floats(0, 1, exclude_max=True)
Name = tuple[str, str]
GONE = "gone"


class Said(NamedTuple):
    """One version as it must be: where its value came from, and the value; `GONE` where the key is not there."""

    revision: int
    root: int
    value: Any


class Books(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.state = StateManager.open(self.folder / "state.sqlite")
        self.said: dict[Name, list[Said]] = {}
        self.revision = 0
        self.names: dict[str, int] = {}
        self.pruned: set[int] = set()
        self.times: dict[int, int] = {}

    @initialize(name=NAMES, value=VALUES)
    def begin(self, name: Name, value: Any) -> None:
        self.put(name, value, expect=None)

    # -- the model -----------------------------------------------------------------------------------------------------

    def add(self, name: Name, value: Any, root: int | None = None) -> int:
        self.revision += 1
        self.said.setdefault(name, []).append(Said(self.revision, root or self.revision, value))
        entry = self.state.entry(*name)
        assert entry is not None
        self.times[self.revision] = entry.ts_ns
        return len(self.said[name])

    def as_of(self, name: Name, revision: int) -> Said | None:
        return next((one for one in reversed(self.said.get(name, [])) if one.revision <= revision), None)

    def point(self, share: float, kind: str) -> tuple[Point, int]:
        """Some point, and the revision that it means."""
        revision = round(share * self.revision)
        if kind == "name" and self.names:
            name = sorted(self.names)[int(share * len(self.names))]
            return Named(name), self.names[name]
        if kind == "time" and revision in self.times:
            last = max(one for one, at in self.times.items() if at <= self.times[revision])
            return Moment(self.times[revision]), last
        return Revision(revision), revision

    def going_back(self, name: Name, then: Said | None) -> None:
        self.add(name, GONE if then is None else then.value, None if then is None else then.root)

    # -- what can be done ----------------------------------------------------------------------------------------------

    @rule(name=NAMES, value=VALUES, expect=st.sampled_from([None, "right", "wrong"]))
    def put(self, name: Name, value: Any, expect: str | None) -> None:
        version = len(self.said.get(name, []))
        wanted = {None: None, "right": version, "wrong": version + 1}[expect]
        writer = self.state.writer(name[0])
        if expect == "wrong":
            with pytest.raises(StateConflict):
                writer.put(*name, value, expect=wanted)
            return
        written = writer.put(*name, value, expect=wanted)
        assert written == self.add(name, value) == version + 1

    @rule(name=NAMES)
    def delete(self, name: Name) -> None:
        said = self.said.get(name, [])
        if said and said[-1].value != GONE:
            assert self.state.writer(name[0]).delete(*name) == self.add(name, GONE)

    @rule(name=NAMES, share=SHARES)
    def rollback_to_a_version(self, name: Name, share: float) -> None:
        said = self.said.get(name, [])
        if not said:
            return
        number = int(share * len(said)) + 1
        then = said[number - 1]
        operator = self.state.writer("operator")
        if then.root in self.pruned:
            self.refused(lambda: operator.rollback(*name, Version(number)))
            return
        version = operator.rollback(*name, Version(number))
        self.going_back(name, then)
        assert version == len(self.said[name])

    @rule(share=SHARES, kind=st.sampled_from(["name", "time", "revision"]), of=st.sampled_from(["kenny", "joey", None]))
    def rollback_many(self, share: float, kind: str, of: str | None) -> None:
        to, revision = self.point(share, kind)
        names = sorted(name for name in self.said if of in (None, name[0]))
        wanted = []
        for name in names:
            then, now = self.as_of(name, revision), self.said[name][-1]
            there = GONE if then is None else then.value
            if repr(there) != repr(now.value):
                wanted.append((name, then))
        operator = self.state.writer("operator")

        def act() -> list[Any]:
            return operator.rollback_everything(to) if of is None else operator.rollback_namespace(of, to)

        if any(then is not None and then.root in self.pruned for _, then in wanted):
            self.refused(act)
            return
        assert [(one.namespace, one.key) for one in act()] == [name for name, _ in wanted]
        for name, then in wanted:
            self.going_back(name, then)

    @rule()
    def snapshot(self) -> None:
        name = f"s{len(self.names)}"
        self.revision += 1
        assert self.state.writer("operator").snapshot(name) == self.revision
        self.names[name] = self.revision
        self.times[self.revision] = self.state.snapshots()[-1].ts_ns

    @precondition(lambda self: self.revision > 3)
    @rule(keep=st.integers(1, 3))
    def prune(self, keep: int) -> None:
        roots = {one.root for said in self.said.values() for one in said[-keep:]}
        roots |= {one.root for name in self.said for at in self.names.values() if (one := self.as_of(name, at))}
        held = {one.root for said in self.said.values() for one in said if one.value != GONE}
        gone = held - roots - self.pruned
        assert self.state.writer("house").prune(keep_versions=keep) == len(gone)
        self.pruned |= gone
        self.revision += bool(gone)

    @rule()
    def start_again(self) -> None:
        self.state.close()
        self.state = StateManager.open(self.folder / "state.sqlite")

    def refused(self, act: Any) -> None:
        head = self.state.head()
        with pytest.raises(ValuePruned):
            act()
        assert self.state.head() == head

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def every_key_is_what_it_was_said_to_be(self) -> None:
        assert self.state.head()[0] == self.revision
        for name, said in self.said.items():
            history = self.state.history(*name)
            assert [one.version for one in history] == list(range(len(said), 0, -1))
            assert [one.revision for one in reversed(history)] == [one.revision for one in said]
            found = self.state.get(*name)
            assert repr(GONE if found is None else found.value) == repr(said[-1].value)
        assert self.state.keys() == sorted(name for name, said in self.said.items() if said[-1].value != GONE)

    def teardown(self) -> None:
        for name, said in self.said.items():
            for number, one in enumerate(said, 1):
                if one.root not in self.pruned:
                    found = self.state.get(*name, at=Version(number))
                    assert repr(GONE if found is None else found.value) == repr(one.value)
        report = self.state.verify()
        self.state.close()
        shutil.rmtree(self.folder)
        assert report.ok, report.finding


Books.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestBooks = Books.TestCase
