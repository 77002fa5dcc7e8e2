"""Checks a journal of this house, or an evidence bundle cut from one, with nothing but Python's standard library.

    python3 verifier.py JOURNAL|BUNDLE [--key HEX] [--anchor FILE] [--deep] [--json]

It trusts one thing: the public key that you give with `--key` and got from somewhere else than the file. What it checks:

* Each row's hash follows from the row and from all rows before it; each segment's seal covers every byte that is stored.
* Checkpoints (signed notes: so many rows, this head, this Merkle root) follow on each other, carry the key's signature,
  and say what the rows say. A file that was cut off, or written anew by somebody without the key, contradicts them.
* Notes that were copied to a place outside (the anchor) say the same.
* In a bundle: every file's digest; the rows, or where one was left out its hash, lead to the signed head and root.

Rows under a signature are checked by their seals, one hash over all bytes; `--deep` computes every hash of every row,
tree and signature again. Exit code 0: all of it is what was written. 1: it is not, the first bad row is named. 2: no such
file, or none of ours.

The formulas: leaf = SHA-256(0x00 ‖ row), head = SHA-256(head before ‖ leaf), tree: RFC 9162, signature: Ed25519 over
"ark checkpoint" ‖ 0x00 ‖ note. This file imports nothing of the project and is handed out as it stands.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import re
import sqlite3
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = 2
GENESIS = NO_SEAL = NO_NOTE = bytes(32)
MARK_BYTES = 8
STAMP_BYTES = 8
DUE_ROWS = 1_024
"""A journal that has a key carries a checkpoint at the first segment that ends so many rows after the one before."""
CHECKPOINT = b"ark checkpoint"
BUNDLE = b"ark bundle"
UNREADABLE = (sqlite3.Error, OverflowError, MemoryError, UnicodeError)
"""What reading a damaged database can raise."""

Verify = Callable[[bytes, bytes, bytes, bytes], bool]
"""(public key, domain, text, signature) → is it this key's signature of this text?"""


class Bad(Exception):
    """Something is not what was written; `row` is the first that cannot be believed (1-based)."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row, self.what = row, what


# -- Ed25519 (RFC 8032): points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z --------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]
_ZERO: Point = (0, 1, 1, 0)


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    result = _ZERO
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _point(data: bytes) -> Point | None:
    """The point that 32 bytes spell; None for those that spell none, or not in the one way."""
    number = int.from_bytes(data, "little")
    odd, y = number >> 255, number & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (x * x - square) % _P or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = _P - x
    return x, y, 1, x * y % _P


def _spelled(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_y = 4 * pow(5, -1, _P) % _P
_BASE = _point(_y.to_bytes(32, "little")) or _ZERO


def verify_ed25519(public: bytes, domain: bytes, text: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is by `public` (32 bytes) over domain ‖ 0x00 ‖ text."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, scalar = _point(public), int.from_bytes(signature[32:], "little")
    if key is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + domain + b"\0" + text).digest()
    minus_key = (_P - key[0], key[1], key[2], _P - key[3])
    left = _add(_times(scalar, _BASE), _times(int.from_bytes(digest, "little") % _L, minus_key))
    return _spelled(left) == signature[:32]


# -- hashes of rows, segments and trees --------------------------------------------------------------------------------


def leaf_of(row: bytes) -> bytes:
    return sha256(b"\0" + row).digest()


def seal_of(before: bytes, first: int, last: int, rows: bytes, marks: bytes, stamps: bytes, head: bytes) -> bytes:
    digest = sha256(b"ark segment %d %d %d %d %d " % (first, last, len(rows), len(marks), len(stamps)))
    digest.update(before + head + marks + stamps)
    digest.update(rows)
    return digest.digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """A Merkle tree that grows at its end: the roots of the full subtrees that it consists of, and nothing below them.

    Attributes:
        size: leaves so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes | None] = []  # at place i the root of a full subtree of 2**i leaves, or none

    @classmethod
    def at(cls, size: int, peaks: bytes) -> Frontier:
        """The tree of `size` leaves whose peaks, the largest first, are `peaks`.

        Raises:
            ValueError: they are not so many.
        """
        if size < 0 or len(peaks) != 32 * size.bit_count():
            raise ValueError("a tree of this size has another number of peaks")
        tree, at = cls(), len(peaks)
        tree.size = size
        for height in range(size.bit_length()):
            present = size >> height & 1
            tree._peaks.append(peaks[at - 32 : at] if present else None)
            at -= 32 * present
        return tree

    @property
    def peaks(self) -> bytes:
        """The largest subtree's root first, 32 bytes each."""
        return b"".join(peak for peak in reversed(self._peaks) if peak is not None)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves at the end: level by level, so that the whole costs one hash a leaf."""
        level, height = list(leaves), 0
        self.size += len(level)
        while level:
            if height == len(self._peaks):
                self._peaks.append(None)
            waiting = self._peaks[height]
            if waiting is not None:
                level.insert(0, waiting)
            self._peaks[height] = level.pop() if len(level) & 1 else None
            level = [sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
            height += 1

    def root(self) -> bytes:
        root = None
        for peak in self._peaks:
            if peak is not None:
                root = peak if root is None else node(peak, root)
        return sha256(b"").digest() if root is None else root


def includes(root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether `leaf` is leaf `index` (0-based) of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for one in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(one, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, one)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def is_continued(old_root: bytes, old_size: int, root: bytes, size: int, path: Sequence[bytes]) -> bool:
    """Whether the tree of `size` leaves begins with the one of `old_size` leaves (RFC 9162, 2.1.4.2)."""
    if not 0 <= old_size <= size:
        return False
    if old_size in (0, size):
        return not path and (root == old_root if old_size else old_root == sha256(b"").digest())
    nodes = list(path)
    if not old_size & old_size - 1:
        nodes.insert(0, old_root)
    if not nodes:
        return False
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = nodes[0]
    for one in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node(one, old), node(one, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node(new, one)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def root_of_range(first: int, leaves: Sequence[bytes], size: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves in which `leaves` stand from `first` (0-based) on.

    `path` holds the roots of the largest full or last subtrees beside them, from left to right; None where they are too
    few or too many.
    """
    if not leaves or first < 0 or first + len(leaves) > size:
        return None
    rest = iter(path)

    def subtree(start: int, count: int) -> bytes:
        if start + count <= first or start >= first + len(leaves):
            return next(rest)
        if count == 1:
            return leaves[start - first]
        left = 1 << (count - 1).bit_length() - 1
        return node(subtree(start, left), subtree(start + left, count - left))

    try:
        root = subtree(0, size)
    except StopIteration:
        return None
    return root if next(rest, None) is None else None


# -- checkpoints -------------------------------------------------------------------------------------------------------


class Note(NamedTuple):
    """What a checkpoint states.

    Attributes:
        origin: the leaf of row 1, which tells one journal from another.
        rows: how many the journal had; `head`, `root` and `seal` are after the last of them.
        previous: digest of the checkpoint before, 32 bytes; zeros at the first.
        ruleset: SHA-256 of the rules that the signing build had in force.
        time_ns: when it was signed, wall clock, ns UTC.
        key: the public key that signed.
    """

    origin: bytes
    rows: int
    head: bytes
    root: bytes
    seal: bytes
    previous: bytes
    ruleset: bytes
    time_ns: int
    key: bytes


class Checkpoint(NamedTuple):
    note: Note
    text: bytes
    signature: bytes
    peaks: bytes = b""

    @property
    def digest(self) -> bytes:
        """What the next one names as `previous`: it covers the signature too, so no byte of a checkpoint is unguarded."""
        return sha256(self.text + self.signature).digest()

    @property
    def line(self) -> bytes:
        """As it stands in the anchor and in bundles: one line of JSON with its line break."""
        return json.dumps({"note": self.text.decode(), "signature": self.signature.hex()}).encode() + b"\n"


def written_note(note: Note) -> bytes:
    """The one spelling of a note: JSON, sorted keys, no spaces, hashes as hex."""
    values = {name: value.hex() if isinstance(value, bytes) else value for name, value in note._asdict().items()}
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def read_note(text: bytes) -> Note:
    """Raises ValueError for anything but what `written_note` writes."""
    try:
        values = json.loads(text)
        sizes = {name: type(values[name]) is int for name in ("rows", "time_ns")}
        read: dict[str, Any] = {
            name: value if name in sizes else bytes.fromhex(value) for name, value in values.items()
        }
        note = Note(**read)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("this is no note of a checkpoint") from error
    hashes = [value for name, value in note._asdict().items() if name not in sizes]
    is_sized = all(sizes.values()) and 0 <= note.rows < 1 << 63 and 0 <= note.time_ns < 1 << 63
    if not is_sized or any(len(value) != 32 for value in hashes) or written_note(note) != text:
        raise ValueError("this is no note of a checkpoint")
    return note


def read_line(line: bytes) -> Checkpoint:
    """Raises ValueError for a line that `Checkpoint.line` would not write."""
    try:
        values = json.loads(line)
        text, signature = values["note"].encode(), bytes.fromhex(values["signature"])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("this is no line of a checkpoint") from error
    return Checkpoint(read_note(text), text, signature)


class Keys(NamedTuple):
    """Public keys that are believed, and where they are from.

    Attributes:
        believed: None: whatever key a note names is taken as its own. Whoever has keys wants to see signatures.
    """

    believed: frozenset[bytes] | None
    source: str

    def believe(self, key: bytes) -> bool:
        return self.believed is None or key in self.believed


ANY_KEY = Keys(None, "the file itself: not pinned")


class Covered(NamedTuple):
    """The checkpoints that hold, and what is wrong with the first that does not."""

    checkpoints: list[Checkpoint]
    bad: Bad | None

    @property
    def rows(self) -> int:
        return self.checkpoints[-1].note.rows if self.checkpoints else 0


def covered(found: Iterator[Checkpoint], keys: Keys, verify: Verify, *, deep: bool = False) -> Covered:
    """The checkpoints from the first to the newest that carries a believed signature; that one covers all before it.

    `found` may raise ValueError where one cannot be read.
    """
    good: list[Checkpoint] = []
    bad = None
    try:
        for one in found:
            _check_in_itself(one, good[-1] if good else None)
            if deep and not is_signed(one, keys, verify):
                raise _wrong(one, "is not signed by the journal's key")
            good.append(one)
    except (ValueError, *UNREADABLE) as error:
        bad = Bad((good[-1].note.rows if good else 0) + 1, str(error))
    while good and not is_signed(good[-1], keys, verify):
        last = good.pop().note.rows
        bad = Bad(
            (good[-1].note.rows if good else 0) + 1, f"the checkpoint at row {last} is not signed by the journal's key"
        )
    return Covered(good, bad)


def is_signed(one: Checkpoint, keys: Keys, verify: Verify) -> bool:
    return keys.believe(one.note.key) and verify(one.note.key, CHECKPOINT, one.text, one.signature)


def _check_in_itself(one: Checkpoint, before: Checkpoint | None) -> None:
    note = one.note
    if note.previous != (before.digest if before else NO_NOTE):
        raise _wrong(one, "does not follow on the one before")
    if note.rows <= (before.note.rows if before else 0) or (before and note.origin != before.note.origin):
        raise _wrong(one, "is of another journal than the one before")
    if one.peaks and Frontier.at(note.rows, one.peaks).root() != note.root:
        raise _wrong(one, "has other peaks than its Merkle root")


def _wrong(one: Checkpoint, what: str) -> ValueError:
    return ValueError(f"the checkpoint at row {one.note.rows} {what}")


def stored_checkpoints(connection: sqlite3.Connection) -> Iterator[Checkpoint]:
    """Those in a journal. Raises ValueError where one cannot be read."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone() is None:
        raise ValueError("the table of checkpoints is gone")
    for values in connection.execute("SELECT rows, note, signature, peaks FROM checkpoints ORDER BY rows"):
        if [type(value) for value in values] != [int, bytes, bytes, bytes] or not values[3]:
            raise ValueError(f"the checkpoint at row {values[0]} is not what was written")
        try:
            note = read_note(values[1])
        except ValueError as error:
            raise ValueError(f"the checkpoint at row {values[0]} is not what was written") from error
        if note.rows != values[0]:
            raise ValueError(f"the checkpoint at row {values[0]} is not what was written")
        yield Checkpoint(note, *values[1:])


_ROWS_CLAIMED = re.compile(rb'\\"rows\\":(\d{1,18})')
_CLAIMS_READ = 256


def anchor_lines(path: Path | None, origins: Collection[bytes]) -> Iterator[bytes]:
    """Lines of the file outside that speak of a journal with one of these origins; those that claim most rows first.

    The first is almost always a good one. All are handed out if need be: lines that claim much and prove nothing, however
    many were written behind it, do not hide it.
    """
    if path is None or not path.is_file():
        return
    wanted = [origin.hex().encode() for origin in origins]
    below, count = (1 << 64, b""), _CLAIMS_READ
    while True:
        with path.open("rb") as lines:
            ours = (_claimed(line) for line in lines if any(one in line for one in wanted))
            found = heapq.nlargest(count, (one for one in ours if one < below))
        yield from (line for _, line in found)
        if len(found) < count:
            return
        below, count = found[-1], 2 * count


def _claimed(line: bytes) -> tuple[int, bytes]:
    found = _ROWS_CLAIMED.search(line)
    return int(found[1]) if found else 0, line


def anchored(lines: Iterable[bytes], keys: Keys, verify: Verify) -> Checkpoint | None:
    """The checkpoint with the most rows among lines of the anchor; what is not signed proves nothing."""
    for line in lines:
        try:
            one = read_line(line)
        except ValueError:
            continue  # a crash cut it in half, or it is not ours
        if is_signed(one, keys, verify):
            return one
    return None


# -- the journal -------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    seq: int
    row: bytes
    stamp_ns: int
    head: bytes


class Walk:
    """Goes through a journal from its first row to its last.

    Segments that end at or before row `fast_until` are checked by their seals, the rows of all others one by one, and
    those are handed out. A seal that does not fit is looked into, so that the row is named.

    Attributes:
        seq: the last row that is what was written; `head` and `seal` after it.
        leaves: the Merkle tree over them, where `deep`.
    """

    def __init__(self, connection: sqlite3.Connection, cover: Covered, *, fast_until: int, deep: bool = False) -> None:
        self.seq, self.head, self.seal = 0, GENESIS, NO_SEAL
        self.tree = Frontier() if deep else None
        self._connection = connection
        self._fast_until = 0 if deep else fast_until
        self._newest = cover.checkpoints[-1].note if cover.checkpoints else None
        self._signed = iter([one.note for one in cover.checkpoints])
        self._next = next(self._signed, None)
        self._held = 0
        self.must: dict[int, bytes] = {}
        """Heads that must stand after these rows."""

    def rows(self) -> Iterator[Row]:
        """Raises Bad at the first row that is not what was written."""
        query = "SELECT first_seq, last_seq, rows, marks, stamps, head, seal FROM segments ORDER BY first_seq"
        try:
            for values in self._connection.execute(query):
                if [type(value) for value in values] != [int, int, bytes, bytes, bytes, bytes, bytes]:
                    raise Bad(
                        self.seq + 1, f"row {self.seq + 1} cannot be read: its segment holds values of other types"
                    )
                yield from self._segment(*values)
        except UNREADABLE as error:
            raise Bad(self.seq + 1, f"row {self.seq + 1} cannot be read: {error}") from error
        if self._newest is not None and self._newest.rows > self.seq:
            raise _cut_off(self.seq, self._newest)

    def _segment(
        self, first: int, last: int, blob: bytes, marks: bytes, stamps: bytes, head: bytes, seal: bytes
    ) -> Iterator[Row]:
        if first != self.seq + 1:
            raise Bad(self.seq + 1, f"row {self.seq + 1} is missing or out of order")
        count = last - first + 1  # under the seal; where rows are checked one by one, they are counted too
        is_framed = (len(marks), len(stamps), len(head)) == (MARK_BYTES * count, STAMP_BYTES * count, 32)
        holds = is_framed and count > 0 and seal == seal_of(self.seal, first, last, blob, marks, stamps, head)
        if holds and last <= self._fast_until and not any(first <= rows < last for rows in self.must):
            self.seq, self.head = last, head
            self._check_head()
        else:
            yield from self._each(first, blob.split(b"\n"), marks, stamps)
            if self.head != head or self.seq != last or not holds:
                raise Bad(first, f"the segment of rows {first}-{last} is not what was written")
        self.seal = seal
        self._check_signed()

    def _each(self, first: int, rows: list[bytes], marks: bytes, stamps: bytes) -> Iterator[Row]:
        leaves, head = [], self.head
        for index, row in enumerate(rows):
            leaf = sha256(b"\0" + row).digest()
            leaves.append(leaf)
            head = sha256(head + leaf).digest()
            if head[:MARK_BYTES] != marks[index * MARK_BYTES : (index + 1) * MARK_BYTES]:
                raise Bad(first + index, f"row {first + index} is not what was written")
            stamp = int.from_bytes(stamps[index * 8 : index * 8 + 8], "little", signed=True)
            yield Row(first + index, row, stamp, head)
            self.seq, self.head = first + index, head
            if self.seq in self.must:
                self._check_head()
        if len(rows) < len(marks) // MARK_BYTES:
            raise Bad(self.seq + 1, f"row {self.seq + 1} is missing")
        if self.tree is not None:
            self.tree.extend(leaves)

    def _check_head(self) -> None:
        if self.must.get(self.seq, self.head) != self.head:
            raise Bad(
                self._held + 1,
                f"rows {self._held + 1}-{self.seq} were written anew: the checkpoint outside states another head",
            )

    def _check_signed(self) -> None:
        """A checkpoint stands at the end of a segment and states what is there."""
        note = self._next
        if note is None or self.seq < note.rows:
            return
        if (note.rows, note.head, note.seal) != (self.seq, self.head, self.seal):
            raise self._written_anew(note.rows)
        if self.tree is not None and self.tree.root() != note.root:
            raise Bad(
                self._held + 1, f"the checkpoint at row {note.rows} states another Merkle root than the rows have"
            )
        self._held = note.rows
        self._next = next(self._signed, None)

    def _written_anew(self, rows: int) -> Bad:
        first = self._held + 1
        return Bad(first, f"rows {first}-{rows} were written anew: the signed checkpoint at row {rows} states others")


def _cut_off(rows: int, note: Note) -> Bad:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(note.time_ns // 1_000_000_000))
    return Bad(
        rows + 1,
        f"row {rows + 1} is missing: the journal is cut off after row {rows}; the checkpoint of {at} UTC had {note.rows} rows",
    )


class Report(NamedTuple):
    """What verification found.

    Attributes:
        rows: how many are what was written, up to the first that is not; `head` after them, hex.
        first_bad_row: None where all is well.
        checkpoints: how many hold; `signed_rows` are under the newest signature, `root` is the Merkle root it states.
        key: the public key of that signature, hex; `key_from` says why it is believed.
        anchored_rows: rows of the newest checkpoint in the file outside; None where there is no such file or checkpoint.
        left_out: rows of a bundle of which only the hash was handed out.
    """

    ok: bool
    rows: int
    head: str
    first_bad_row: int | None
    finding: str
    checkpoints: int = 0
    signed_rows: int = 0
    key: str = ""
    key_from: str = ""
    root: str = ""
    anchored_rows: int | None = None
    left_out: int = 0


CheckRow = Callable[[Row], None]
"""Raises Bad for a row that is chained and yet no row."""


def origins(connection: sqlite3.Connection) -> set[bytes]:
    """What a journal says that it begins with: its first row, and its first checkpoint. Unchecked."""
    found: set[bytes] = set()
    try:
        for (rows,) in connection.execute("SELECT rows FROM segments WHERE first_seq = 1"):
            found.add(leaf_of(rows.split(b"\n")[0]))
        for (note,) in connection.execute("SELECT note FROM checkpoints ORDER BY rows LIMIT 1"):
            found.add(read_note(note).origin)
    except (ValueError, TypeError, AttributeError, *UNREADABLE):
        pass  # whatever is wrong with them is named by the check
    return found


class JournalCheck:
    """One check of one journal: checkpoints, rows, anchor, in this order.

    Args:
        connection: the journal, opened for reading.
        keys: which signatures are believed.
        anchor: the file outside; None for none.
        after: rows after this one are wanted one by one; None: only those that no signature covers.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        keys: Keys,
        anchor: Path | None,
        *,
        verify: Verify = verify_ed25519,
        deep: bool = False,
        after: int | None = None,
    ) -> None:
        self.keys = keys
        # The anchor is read before the journal, and the journal in one transaction: it may be growing meanwhile.
        outside = anchored(anchor_lines(anchor, origins(connection)), keys, verify)
        connection.execute("BEGIN")
        self.cover = covered(stored_checkpoints(connection), keys, verify, deep=deep)
        # A seal that no signature covers proves nothing: whoever alters rows can compute it again.
        fast_until = self.cover.rows if after is None else min(after, self.cover.rows)
        self.walk = Walk(connection, self.cover, fast_until=fast_until, deep=deep)
        self.anchored = outside
        if outside is not None:
            self.walk.must[outside.note.rows] = outside.note.head

    def rows(self) -> Iterator[Row]:
        """Raises Bad at the first row that is not what was written, or cannot be believed to be."""
        yield from self.walk.rows()
        seq, bad = self.walk.seq, self.cover.bad
        if bad is not None:
            raise bad
        if self.anchored is not None and self.anchored.note.rows > seq:
            raise _cut_off(seq, self.anchored.note)
        if self.anchored is not None and self.anchored.note.rows > self.cover.rows:
            missing = self.anchored.note.rows
            raise Bad(self.cover.rows + 1, f"the checkpoint at row {missing} is missing: the anchor has it")
        if self.keys.believed is not None and seq - self.cover.rows >= DUE_ROWS:
            first = self.cover.rows + 1
            raise Bad(first, f"rows {first}-{seq} are under no checkpoint, and one was due after {DUE_ROWS} rows")

    def report(self, bad: Bad | None, name: str) -> Report:
        newest = self.cover.checkpoints[-1].note if self.cover.checkpoints else None
        return Report(
            ok=bad is None,
            rows=self.walk.seq,
            head=self.walk.head.hex(),
            first_bad_row=bad.row if bad else None,
            finding=" ".join(f"{bad.what} ({name})".split()) if bad else "",
            checkpoints=len(self.cover.checkpoints),
            signed_rows=newest.rows if newest else 0,
            key=newest.key.hex() if newest else "",
            key_from=self.keys.source if newest else "",
            root=newest.root.hex() if newest else "",
            anchored_rows=self.anchored.note.rows if self.anchored else None,
        )


def check_journal(check: JournalCheck, connection: sqlite3.Connection, name: str, check_row: CheckRow) -> Report:
    """Everything that can be asked of a journal, SQLite's own structure included."""
    try:
        for row in check.rows():
            check_row(row)
    except Bad as bad:
        return check.report(bad, name)
    fault = structure_fault(connection)
    if fault:
        return check.report(Bad(check.walk.seq + 1, f"the rows are whole, the file is not: {fault}"), name)
    return check.report(None, name)


def structure_fault(connection: sqlite3.Connection) -> str:
    try:
        answer = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    except UNREADABLE as error:
        return str(error)
    return "" if answer == "ok" else answer.splitlines()[0]


def is_numbered_json(row: Row) -> None:
    """What can be asked of a row without the project: it is JSON and says which row it is."""
    try:
        seq = json.loads(row.row)["seq"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Bad(row.seq, f"row {row.seq} is no message") from error
    if type(seq) is not int or seq != row.seq:
        raise Bad(row.seq, f"row {row.seq} says that it is row {seq}")


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing in the file or its folder."""
    # Without a WAL beside it the file is all there is, and reading it must not leave anything in its folder.
    wal = path.with_name(path.name + "-wal")
    how = "mode=ro" if wal.is_file() and wal.stat().st_size else "immutable=1"
    return sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None)


def keys_beside(path: Path) -> Keys:
    """The journal's key in the state folder that the journal lies in, or beside a backup of it."""
    above = path.resolve().parent.parent / "keys"
    for folder in (above, path.resolve().parent):
        if (folder / "journal.pub").is_file():
            texts = [
                file.read_text(encoding="ascii", errors="replace").split()
                for file in (folder / "journal.pub", folder / "former.pub")
                if file.is_file()
            ]
            found = [one for text in texts for one in text]
            return keys_of(found, f"`{folder.name}/journal.pub`")
    return ANY_KEY


def keys_of(texts: Collection[str], source: str) -> Keys:
    """Raises ValueError for what is no key: 64 hex digits."""
    keys = frozenset(bytes.fromhex(text) for text in texts)
    if any(len(key) != 32 for key in keys):
        raise ValueError("a key is 64 hex digits")
    return Keys(keys, source)


def anchor_beside(path: Path) -> Path | None:
    """Where notes are copied to by default: the state folder above the journal's, or beside a backup."""
    folders = (path.resolve().parent.parent, path.resolve().parent)
    return next((folder / "anchor.log" for folder in folders if (folder / "anchor.log").is_file()), None)


# -- the bundle --------------------------------------------------------------------------------------------------------

Files = dict[str, bytes]


_APPROVALS = ("decision.approved/", "decision.operation_approved/", "control.person_signed/")


def is_approval(body: object) -> bool:
    """Whether a message's body is somebody's yes: the house's, or a person's."""
    return isinstance(body, dict) and str(body.get("kind")).startswith(_APPROVALS)


def is_bundle(path: Path) -> bool:
    return path.name.endswith(".tar.gz") if path.is_file() else (path / "proof.json").is_file()


def bundle_files(path: Path) -> Files:
    """Every file of a bundle, by its name in it. Raises ValueError where `path` is no bundle."""
    if path.is_dir():
        files = {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}
    else:
        try:
            with tarfile.open(path, "r:gz") as archive:
                members = [(one.name, archive.extractfile(one)) for one in archive if one.isfile()]
                files = {name.partition("/")[2]: file.read() for name, file in members if file is not None}
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise ValueError(f"this is neither a journal nor a bundle: {error}") from error
        if len(files) != len(members):
            raise ValueError("this is no bundle: it holds a file twice")
    if "MANIFEST.json" not in files:
        raise ValueError("this is neither a journal nor a bundle: it has no MANIFEST.json")
    return files


def check_bundle(files: Files, keys: Keys | None, *, verify: Verify = verify_ed25519) -> Report:
    """Everything that can be asked of a bundle."""
    check = _BundleCheck(files, keys, verify)
    try:
        check.run()
    except Bad as bad:
        return check.report(bad)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return check.report(Bad(check.seq + 1, f"the bundle cannot be read: {error!r}"))
    return check.report(None)


class _BundleCheck:
    def __init__(self, files: Files, keys: Keys | None, verify: Verify) -> None:
        self._files, self._verify = files, verify
        self.keys = keys or ANY_KEY
        self.cover = Covered([], None)
        self.first, self.seq, self.head, self.left_out = 1, 0, GENESIS, 0
        self._approvals: list[str] = []
        self._leaves: list[bytes] = []

    def run(self) -> None:
        manifest = json.loads(self._files["MANIFEST.json"])
        proof = json.loads(self._files["proof.json"])
        if type(proof["from"]) is not int or proof["from"] < 1:
            raise Bad(1, "the proof does not say which row is the first")
        self.first = proof["from"]
        self.seq = self.first - 1
        self._check_files(manifest["files"])
        lines = iter(self._files["checkpoints.jsonl"].splitlines())
        self.cover = covered((read_line(line) for line in lines), self.keys, self._verify, deep=True)
        if self.cover.bad is not None:
            raise self.cover.bad
        self._check_manifest_signature(manifest["key"])
        self._read_rows(bytes.fromhex(proof["head_before"]), proof["to"])
        self._check_proof(proof)
        self._demand_signed()
        self._check_rules()
        self._check_approvals()

    def _check_files(self, listed: dict[str, str]) -> None:
        for name in sorted(set(listed) | set(self._files) - {"MANIFEST.json", "MANIFEST.sig"}):
            if name not in self._files:
                raise Bad(self.first, f"the file `{name}` is missing")
            if sha256(self._files[name]).hexdigest() != listed.get(name):
                self._name_row_in(name)
                raise Bad(self.first, f"the file `{name}` is not what was handed out")

    def _name_row_in(self, name: str) -> None:
        """A changed file of rows is read as far as it goes: the row that breaks it may name itself."""
        if name == "rows.jsonl":
            proof = json.loads(self._files["proof.json"])
            self._read_rows(bytes.fromhex(proof["head_before"]), proof["to"])
            self.seq, self.head, self._leaves, self._approvals, self.left_out = self.first - 1, GENESIS, [], [], 0

    def _check_manifest_signature(self, key: str) -> None:
        if "MANIFEST.sig" not in self._files:
            return
        signature, public = bytes.fromhex(self._files["MANIFEST.sig"].decode().strip()), bytes.fromhex(key)
        if not self.keys.believe(public) or not self._verify(public, BUNDLE, self._files["MANIFEST.json"], signature):
            raise Bad(self.first, "the manifest is not signed by the journal's key")

    def _read_rows(self, head: bytes, to: int) -> None:
        self.head = head
        for line in self._files["rows.jsonl"].splitlines():
            seq = self.seq + 1
            try:
                values = json.loads(line)
                text = values.get("row")
                leaf = bytes.fromhex(values["leaf"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Bad(seq, f"row {seq} cannot be read") from error
            if values.get("seq") != seq:
                raise Bad(seq, f"row {seq} is missing or out of order")
            if text is None:
                self.left_out += 1
            elif leaf_of(text.encode()) != leaf:
                raise Bad(seq, f"row {seq} is not what was written")
            else:
                is_numbered_json(Row(seq, text.encode(), 0, b""))
                if is_approval(json.loads(text).get("body")):
                    self._approvals.append(text)
            self._leaves.append(leaf)
            self.head = sha256(self.head + leaf).digest()
            self.seq = seq
        if self.seq != to:
            raise Bad(self.seq + 1, f"row {self.seq + 1} is missing: the bundle goes to row {to}")

    def _check_proof(self, proof: dict[str, Any]) -> None:
        """The leaves, and those that follow up to the next checkpoint, lead to the signed head and the signed root."""
        notes = {one.note.rows: one.note for one in self.cover.checkpoints}
        if self.cover.rows < self.first:
            if proof["path"] or proof["leaves_after"]:
                raise Bad(self.first, "the proof is of checkpoints that are not here")
            return  # nothing here is under a signature, and the report says so
        head, seq = self.head, self.seq
        for one in proof["leaves_after"]:
            head, seq = sha256(head + bytes.fromhex(one)).digest(), seq + 1
        signed = min(self.seq, self.cover.rows)
        if self.seq <= self.cover.rows:
            self._check_head(notes, seq, head)
        else:
            self._check_head(notes, signed, self._head_at(bytes.fromhex(proof["head_before"]), signed))
        path = [bytes.fromhex(one) for one in proof["path"]]
        leaves = self._leaves[: signed - self.first + 1]
        if root_of_range(self.first - 1, leaves, self.cover.rows, path) != notes[self.cover.rows].root:
            raise Bad(self.first, f"rows {self.first}-{signed} do not lead to the signed Merkle root")

    def _demand_signed(self) -> None:
        """Under a key that is believed stands every row, by a checkpoint or by the manifest's own signature."""
        if self.keys.believed is None or "MANIFEST.sig" in self._files or self.seq <= self.cover.rows:
            return
        first = max(self.first, self.cover.rows + 1)
        raise Bad(first, f"rows {first}-{self.seq} are under no signature of the journal's key")

    def _head_at(self, head: bytes, seq: int) -> bytes:
        for leaf in self._leaves[: seq - self.first + 1]:
            head = sha256(head + leaf).digest()
        return head

    def _check_head(self, notes: dict[int, Note], rows: int, head: bytes) -> None:
        if rows not in notes or notes[rows].head != head:
            raise Bad(self.first, f"rows {self.first}-{rows} do not lead to a signed head")

    def _check_rules(self) -> None:
        """The rules are those that the newest checkpoint names; their proofs, those that their seal names."""
        if "rules/RULES.json" not in self._files:
            return
        rules, proofs = (sha256(self._files[f"rules/{name}.json"]).hexdigest() for name in ("RULES", "PROOFS"))
        seal = json.loads(self._files["rules/SEAL.json"])
        if self.cover.checkpoints and rules != self.cover.checkpoints[-1].note.ruleset.hex():
            raise Bad(self.first, "the rules are not those that the newest checkpoint names")
        if (seal["ruleset"], seal["report"]) != (rules, proofs):
            raise Bad(self.first, "the seal is not of these rules and proofs")

    def _check_approvals(self) -> None:
        if self._files["approvals.jsonl"].decode() != "".join(f"{one}\n" for one in self._approvals):
            raise Bad(self.first, "the approvals are not those among the rows")

    def report(self, bad: Bad | None) -> Report:
        newest = self.cover.checkpoints[-1].note if self.cover.checkpoints else None
        return Report(
            ok=bad is None,
            rows=self.seq - self.first + 1,
            head=self.head.hex(),
            first_bad_row=bad.row if bad else None,
            finding=" ".join(bad.what.split()) if bad else "",
            checkpoints=len(self.cover.checkpoints),
            signed_rows=max(0, min(newest.rows, self.seq) - self.first + 1) if newest else 0,
            key=newest.key.hex() if newest else "",
            key_from=self.keys.source if newest else "",
            root=newest.root.hex() if newest else "",
            left_out=self.left_out,
        )


# -- the command -------------------------------------------------------------------------------------------------------


def _check_path(path: Path, keys: Keys | None, anchor: Path | None, *, deep: bool) -> Report:
    """Raises ValueError where `path` is neither a journal nor a bundle."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError("this is neither a journal nor a bundle: it is no file")
    if path.is_file():
        with path.open("rb") as file:
            is_database = file.read(15) == b"SQLite format 3"
        if is_database:
            return _check_journal_at(path, keys or keys_beside(path), anchor or anchor_beside(path), deep=deep)
    return check_bundle(bundle_files(path), keys)


def _check_journal_at(path: Path, keys: Keys, anchor: Path | None, *, deep: bool) -> Report:
    connection = read_only(path)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise ValueError(f"this is no journal of format {FORMAT}; it says {version}")
        check = JournalCheck(connection, keys, anchor, deep=deep)
        return check_journal(check, connection, path.name, is_numbered_json)
    except UNREADABLE as error:
        return Report(ok=False, rows=0, head=GENESIS.hex(), first_bad_row=1, finding=f"row 1 cannot be read: {error}")
    finally:
        connection.close()


def in_words(report: Report) -> str:
    """Two or three lines for a person."""
    if not report.ok:
        return f"first bad row {report.first_bad_row}: {report.finding}"
    lines = [f"{report.rows} rows, whole; head {report.head}"]
    if report.left_out:
        lines.append(f"{report.left_out} of them are here as hashes alone")
    if report.checkpoints:
        lines.append(f"{report.signed_rows} rows are signed ({report.checkpoints} checkpoints); key {report.key}")
        lines.append(f"the key is from {report.key_from}")
    else:
        lines.append("nothing is signed: this shows that the rows fit together, not who wrote them")
    if report.anchored_rows is not None:
        lines.append(f"the checkpoint outside has {report.anchored_rows} rows and agrees")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="check a journal or an evidence bundle")
    parser.add_argument("path", type=Path, metavar="JOURNAL|BUNDLE")
    parser.add_argument("--key", action="append", default=[], metavar="HEX", help="the public key that you trust")
    parser.add_argument("--anchor", type=Path, metavar="FILE", help="where checkpoints were copied to")
    parser.add_argument("--deep", action="store_true", help="compute every hash and signature again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    try:
        keys = keys_of(arguments.key, "`--key`") if arguments.key else None
        report = _check_path(arguments.path, keys, arguments.anchor, deep=arguments.deep)
    except (ValueError, OSError) as error:
        print(" ".join(f"{arguments.path}: {error}".split()), file=sys.stderr)
        return 2
    print(json.dumps(report._asdict()) if arguments.json else f"{arguments.path}: {in_words(report)}")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
