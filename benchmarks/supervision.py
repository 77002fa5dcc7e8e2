"""`python -m benchmarks.supervision [--json]`: how long a failed child is away, here and under Erlang/OTP's supervisor.

Here: a child raises on a message; its supervisor makes another with the state from before, which answers it. There: a
permanent `gen_server` under a `one_for_one` supervisor is killed, or crashes in a call; the time runs until the new one is
registered and has answered a call. Both in the same run, by turns, so that what else the machine does hits both; in
batches with a fresh supervisor each, so that neither drags a long list of restarts along; OTP's loggers are off, and of
its ways (killed or crashed, one scheduler or all) the fastest counts. Its child begins anew, ours with its state. Without `erl` (Debian: `erlang-base`) its lines are missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from agents.runtime.agent import Agent, AgentSpec, Step
from agents.runtime.hosted import Hosted
from monitoring.series import percentile
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Envelope, SliceClosed
from watchdog.in_process import Supervised
from watchdog.policy import Rules

TURNS, BATCHES, BATCH, WARM_UP = 5, 40, 50, 20
INTENSITY = 1_000_000
DEADLINE_S = 120

MODULE = """
-module(otp_restart).
-behaviour(supervisor).
-export([main/1, start_child/0, init/1]).
-export([handle_call/3, handle_cast/2]).

%% The supervisor and its child, in one module: `init` tells them apart.
init(supervisor) ->
    Child = #{id => child, start => {?MODULE, start_child, []}, restart => permanent},
    {ok, {#{strategy => one_for_one, intensity => %(intensity)d, period => 1}, [Child]}};
init(child) -> {ok, 0}.

start_child() -> gen_server:start_link({local, child}, ?MODULE, child, []).
handle_call(crash, _From, _State) -> exit(crashed);
handle_call(ping, _From, State) -> {reply, pong, State}.
handle_cast(_, State) -> {noreply, State}.

main([How, Batches, Batch]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    [batch(list_to_atom(How), list_to_integer(Batch)) || _ <- lists:seq(1, list_to_integer(Batches))],
    halt(0).

batch(How, Rounds) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, supervisor),
    Took = [restart(How) || _ <- lists:seq(1, Rounds)],
    unlink(Supervisor), exit(Supervisor, shutdown), gone(Supervisor),
    [io:format("~b~n", [Ns]) || Ns <- Took].

restart(How) ->
    Old = whereis(child),
    Began = erlang:monotonic_time(nanosecond),
    fail(How, Old),
    New = successor(Old),
    pong = gen_server:call(New, ping),
    erlang:monotonic_time(nanosecond) - Began.

fail(kill, Pid) -> exit(Pid, kill);
fail(crash, Pid) -> catch gen_server:call(Pid, crash).

successor(Old) ->
    case whereis(child) of
        undefined -> erlang:yield(), successor(Old);
        Old -> erlang:yield(), successor(Old);
        New -> New
    end.

gone(Pid) -> case is_process_alive(Pid) of true -> erlang:yield(), gone(Pid); false -> ok end.
"""


class Once:
    """A decision that raises on every message the first time that it sees it."""

    def __init__(self) -> None:
        self._seen = 0

    def __call__(self, count: int, heard: Envelope) -> Step[int]:
        if heard.seq != self._seen:
            self._seen = heard.seq
            raise ValueError(f"at {heard.seq}")
        return Step(count + 1)


def in_process(batches: int, batch: int) -> list[float]:
    """µs from a message that makes a child raise to the answer of the child after it."""
    took = []
    for number in range(batches + WARM_UP):
        agent = Agent(AgentSpec("toy", "raises", (SliceClosed,), ()), 0, Once())
        child = Supervised(partial(Hosted, agent), rules=_rules())
        heard = [_envelope(seq) for seq in range(1, batch + 1)]
        for envelope in heard:
            began = time.perf_counter_ns()
            child.answer(envelope)
            lasted = time.perf_counter_ns() - began
            if number >= WARM_UP:
                took.append(lasted / 1e3)
        assert (child.state, child.ward.incarnation) == (batch, batch + 1)
    return took


def _rules() -> Rules:
    return Rules(intensity=INTENSITY, period_ns=SECOND_NS, backoff_base_ns=0)


def _envelope(seq: int) -> Envelope:
    return Envelope(seq, f"{seq:032x}", "world", f"{seq:032x}", f"{seq:032x}", 0, seq, seq, SliceClosed(seq, seq))


class Otp:
    """The peer, compiled into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        source = folder / "otp_restart.erl"
        source.write_text(MODULE % {"intensity": INTENSITY})
        subprocess.run(["erlc", "-o", folder, source], check=True, timeout=DEADLINE_S)

    def restarts(self, how: str, flags: Sequence[str], batches: int) -> list[float]:
        """µs of each, from its failure to the answer of the one after it."""
        command = ["erl", *flags, "-noinput", "-pa", self._folder, "-run", "otp_restart", "main"]
        # `-run` hands the words that follow to one call of `main`, as a list of strings.
        counts = [str(batches + WARM_UP), str(BATCH)]
        done = subprocess.run([*command, how, *counts], check=True, timeout=DEADLINE_S, capture_output=True, text=True)
        took = [int(line) / 1e3 for line in done.stdout.split()]
        assert len(took) == (batches + WARM_UP) * BATCH
        return took[WARM_UP * BATCH :]


SCHEDULERS = {"one_scheduler": ("+S", "1:1"), "all_schedulers": ()}
WAYS = {f"{how}_{name}": (how, flags) for how in ("kill", "crash") for name, flags in SCHEDULERS.items()}


def measure(batches: int = BATCHES) -> dict[str, object]:
    """Medians and 99th percentiles in µs; `in_process_per_otp` ≤ 1: we are not slower."""
    ours: list[float] = []
    theirs: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="ark-otp-") as name:
        peer = Otp(Path(name)) if shutil.which("erl") and shutil.which("erlc") else None
        for _ in range(TURNS):
            ours += in_process(batches, BATCH)
            for way, (how, flags) in WAYS.items() if peer else ():
                theirs[way] += peer.restarts(how, flags, batches)
    result: dict[str, object] = {
        "rounds": len(ours),
        "in_process_restart_p50_us": _at(ours, 0.5),
        "in_process_restart_p99_us": _at(ours, 0.99),
    }
    if peer is None:
        return result | {"otp": "not measured: there is no `erl` here (Debian: erlang-base)"}
    best = min(_at(values, 0.5) for values in theirs.values())
    return result | {
        "otp_restart_p50_us": {way: _at(values, 0.5) for way, values in theirs.items()},
        "otp_restart_p99_us": {way: _at(values, 0.99) for way, values in theirs.items()},
        "in_process_per_otp": round(_at(ours, 0.5) / best, 3),
    }


def _at(values: list[float], fraction: float) -> float:
    return round(percentile(values, fraction) or 0.0, 2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervision", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument(
        "--batches",
        type=int,
        default=BATCHES,
        help=f"of {BATCH} restarts, in each of {TURNS} turns (default {BATCHES})",
    )
    arguments = parser.parse_args(argv)
    result = measure(arguments.batches)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
