"""What tests of the command line share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping

import pytest

from deployment.__main__ import main

Asked = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Asked:
    """`ark` with these words, in this process: for tables, where the start of a process would be all the time."""

    def ask(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        for name in [name for name in os.environ if name.startswith("ARK_")]:
            monkeypatch.delenv(name)
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return ask
