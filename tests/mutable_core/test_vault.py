"""Secrets are in the store as tokens only; what opens them lies elsewhere, readable by nobody else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mutable_core.errors import SettingsRefused
from mutable_core.state.errors import StateBroken, ValueRefused
from mutable_core.state.points import Version
from mutable_core.state.verify import verify
from mutable_core.state_manager import StateManager
from mutable_core.vault import Vault, VaultLocked, add_key, new_key

SECRET = "a phrase that opens everything"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state folder."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def key_file(tmp_path: Path, folder: Path) -> Path:
    path = tmp_path / "keys" / "vault.key"
    new_key(path, outside=folder)
    return path


@pytest.fixture
def state(folder: Path, key_file: Path) -> Iterator[StateManager]:
    with StateManager.open(folder / "state.sqlite", vault=Vault.open(key_file, outside=folder)) as manager:
        yield manager
        assert manager.verify().ok


def read(state: StateManager, key: str = "token", **at: Version) -> object:
    found = state.get("operator", key, **at)
    return found and found.value


def test_a_secret_comes_back_with_the_key_and_is_nowhere_in_the_files(state: StateManager, folder: Path) -> None:
    state.writer("operator").put("operator", "token", {"password": SECRET, "n": (1,)}, secret=True)
    assert read(state) == {"password": SECRET, "n": (1,)}
    assert (found := state.get("operator", "token")) is not None
    assert found.is_secret
    for path in folder.iterdir():
        assert SECRET.encode() not in path.read_bytes()


def test_without_the_key_everything_but_the_secret_is_read_and_verified(state: StateManager, folder: Path) -> None:
    operator = state.writer("operator")
    operator.put("operator", "token", SECRET, secret=True)
    operator.put("operator", "limit", 3)
    with StateManager.open(folder / "state.sqlite") as locked:
        assert read(locked, "limit") == 3
        with pytest.raises(VaultLocked) as refused:
            read(locked)
        assert "ark state key new" in str(refused.value)
        with pytest.raises(VaultLocked):
            locked.writer("operator").put("operator", "token", SECRET, secret=True)
        (entry,) = locked.history("operator", "token")
        assert entry.is_secret
    assert verify(folder / "state.sqlite").ok


def test_a_secret_goes_back_without_the_key(state: StateManager, folder: Path) -> None:
    """The token is pointed at, not opened."""
    operator = state.writer("operator")
    operator.put("operator", "token", "old one", secret=True)
    operator.put("operator", "token", "new one", secret=True)
    with StateManager.open(folder / "state.sqlite") as locked:
        locked.writer("operator").rollback("operator", "token", Version(1))
    assert read(state) == "old one"


def test_a_rotated_key_seals_as_new_versions_and_the_old_ones_still_open(
    state: StateManager, folder: Path, key_file: Path
) -> None:
    operator = state.writer("operator")
    operator.put("operator", "token", SECRET, secret=True)
    operator.put("operator", "gone", SECRET, secret=True)
    operator.delete("operator", "gone")
    first = key_file.read_bytes()
    add_key(key_file, outside=folder)
    assert key_file.stat().st_mode & 0o777 == 0o600
    with StateManager.open(folder / "state.sqlite", vault=Vault.open(key_file, outside=folder)) as rotated:
        assert rotated.writer("operator").reseal() == 1
        assert [one.kind for one in rotated.history("operator", "token")] == ["reseal", "put"]
        assert read(rotated) == read(rotated, at=Version(1)) == SECRET
    newest, older = key_file.read_bytes().splitlines()
    assert older == first.strip()
    assert read(state) == SECRET  # a process that was there before reads the file again
    key_file.write_bytes(newest)
    with StateManager.open(folder / "state.sqlite", vault=Vault.open(key_file, outside=folder)) as alone:
        assert read(alone) == SECRET
        with pytest.raises(VaultLocked):
            read(alone, at=Version(1))


def test_a_token_opens_only_where_it_was_sealed(folder: Path, key_file: Path) -> None:
    vault = Vault.open(key_file, outside=folder)
    token = vault.seal(SECRET, "operator", "token")
    assert vault.unseal(token, "operator", "token") == SECRET
    with pytest.raises(StateBroken):
        vault.unseal(token, "operator", "other")


def test_an_altered_token_is_found_without_the_key(state: StateManager, folder: Path) -> None:
    state.writer("operator").put("operator", "token", SECRET, secret=True)
    connection = sqlite3.connect(folder / "state.sqlite", isolation_level=None)
    (token,) = connection.execute("SELECT value FROM versions").fetchone()
    connection.execute("UPDATE versions SET value = ?", (token[:-1] + bytes([token[-1] ^ 1]),))
    connection.close()
    assert verify(folder / "state.sqlite").first_bad_revision == 1
    with pytest.raises(StateBroken):
        read(state)
    connection = sqlite3.connect(folder / "state.sqlite", isolation_level=None)
    connection.execute("DELETE FROM versions")
    connection.execute("DELETE FROM heads")
    connection.close()


def test_the_name_of_a_secret_is_not_secret(state: StateManager) -> None:
    with pytest.raises(ValueRefused):
        state.writer("operator").put("operator", "ann@example.org", 1, secret=True)


def test_a_key_is_never_made_in_passing_and_never_written_over(tmp_path: Path, folder: Path, key_file: Path) -> None:
    with pytest.raises(VaultLocked):
        Vault.open(tmp_path / "none", outside=folder)
    assert not (tmp_path / "none").exists()
    before = key_file.read_bytes()
    with pytest.raises(SettingsRefused):
        new_key(key_file, outside=folder)
    assert key_file.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_key_that_others_can_read_is_refused(folder: Path, key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(SettingsRefused):
        Vault.open(key_file, outside=folder)


def test_a_key_inside_the_state_folder_is_refused(tmp_path: Path, folder: Path, key_file: Path) -> None:
    """It would be in every backup. A way round through a link does not help."""
    (tmp_path / "link").symlink_to(folder)
    for path in (folder / "vault.key", folder / "keys" / "vault.key", tmp_path / "link" / "vault.key"):
        with pytest.raises(SettingsRefused):
            new_key(path, outside=folder)
    assert list(folder.iterdir()) == []
    inside = folder / "vault.key"
    inside.write_bytes(key_file.read_bytes())
    inside.chmod(0o600)
    with pytest.raises(SettingsRefused):
        Vault.open(inside, outside=folder)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"short\n", b"\xff" * 44, b"x" * 5_000], ids=lambda data: repr(data)[:12]
)
def test_a_file_without_keys_is_refused(folder: Path, key_file: Path, data: bytes) -> None:
    key_file.write_bytes(data)
    with pytest.raises(SettingsRefused):
        Vault.open(key_file, outside=folder)


def test_a_link_to_a_key_is_refused(tmp_path: Path, folder: Path, key_file: Path) -> None:
    (tmp_path / "link").symlink_to(key_file)
    with pytest.raises(SettingsRefused):
        Vault.open(tmp_path / "link", outside=folder)
