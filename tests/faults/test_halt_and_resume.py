"""A house in processes, halted past itself and resumed by two people: from the first word to the next order."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.desk.client import ask as ask_house
from deployment.desk.words import Checklist, Done, ListWaiting, Resume, ShowChecklist, Waiting
from deployment.kill_switch.client import ask as ask_kill_switch
from deployment.kill_switch.words import Look, Looked, Pull, Pulled
from mutable_core.errors import ArkError
from mutable_core.messages import DiscrepancyFound, HaltOrdered, OperationApproved, OrderIntended
from tests.deployment.desk_makers import WHY, people_file, signed
from tests.faults.processes import LOADED, envelopes_of, eventually, free_port, journal_of, started

pytestmark = pytest.mark.faults


def orders(state: Path) -> int:
    return sum(isinstance(one.body, OrderIntended) for one in envelopes_of(journal_of(state)))


def checklist(state: Path) -> tuple[str, ...] | None:
    try:
        answer = ask_house(state, ShowChecklist())
    except ArkError:
        return None
    assert isinstance(answer, Checklist)
    return answer.faults


def test_a_house_is_flattened_past_itself_and_goes_on_when_two_people_have_signed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    env = LOADED | {"ARK_KILL_PORT": "0", "ARK_PEOPLE": str(people_file(tmp_path / "people"))}
    words = ("run", "--source", "synthetic", "--speed", "30", "--port", str(free_port()), "--state", str(state))
    with started(*words, "--topology", "processes", env=env) as process:
        eventually(lambda: process.poll() is None and checklist(state) == (), "everything is in order")
        eventually(lambda: orders(state), "it trades")
        pulled = ask_kill_switch(state, Pull("global", "", "flattening", "ann", WHY))
        assert isinstance(pulled, Pulled)
        assert pulled.last_cancel_ms is not None
        eventually(lambda: checklist(state) == (), "what was held is closed, and the books agree")
        halted_with = orders(state)

        ask_house(state, Resume("global", "", "carol", WHY))
        waiting = ask_house(state, ListWaiting())
        assert isinstance(waiting, Waiting)
        (act,) = waiting.acts
        assert orders(state) == halted_with
        outcomes = [ask_house(state, signed(act, person)) for person in ("alice", "bob")]
        assert [one.outcome for one in outcomes if isinstance(one, Done)] == ["waits", "approved"]
        looked = ask_kill_switch(state, Look())
        assert isinstance(looked, Looked)
        assert looked.standing == ()
        eventually(lambda: orders(state) > halted_with, "it trades again")
    bodies = [one.body for one in envelopes_of(journal_of(state))]
    assert [body.level for body in bodies if isinstance(body, HaltOrdered)] == ["flattening"]
    assert any(isinstance(body, OperationApproved) for body in bodies)
    assert not any(isinstance(body, DiscrepancyFound) for body in bodies)
