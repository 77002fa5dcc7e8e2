"""`ark verify`"""

from __future__ import annotations

import argparse
from pathlib import Path

from deployment.commands.port import Command, add_journal, add_json, journal_at, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_journal(parser)
    parser.add_argument("--deep", action="store_true", help="compute every hash and signature again, decode every row")
    parser.add_argument(
        "--key", action="append", default=[], metavar="HEX", help="believe this public key; may be repeated"
    )
    parser.add_argument("--anchor", type=Path, metavar="FILE", help="the file that checkpoints were copied to")
    parser.add_argument("--row", type=int, metavar="SEQ", help="show that this row stands in the signed Merkle tree")
    parser.add_argument(
        "--export-verifier", type=Path, metavar="FILE", help="write the verifier: one file that needs only Python"
    )
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.export_verifier is not None:
        return _export_verifier(arguments.export_verifier, as_json=arguments.json)
    if arguments.row is not None:
        return _show_row(journal_at(arguments.journal), arguments.row, as_json=arguments.json)
    from mutable_core.journal.verifier import is_bundle

    if arguments.journal is not None and is_bundle(arguments.journal):
        return _verify_bundle(arguments.journal, arguments)
    return _verify_journal(journal_at(arguments.journal), arguments)


def _verify_journal(path: Path, arguments: argparse.Namespace) -> int:
    from mutable_core.journal import verify
    from mutable_core.journal.verifier import in_words

    report = verify(path, deep=arguments.deep, keys=arguments.key, anchor=arguments.anchor)
    if arguments.json:
        print_json(report._asdict() | {"journal": str(path)})
    else:
        print(f"{path}: {in_words(report)}")
    return 0 if report.ok else 1


def _verify_bundle(path: Path, arguments: argparse.Namespace) -> int:
    from mutable_core.errors import MalformedSource
    from mutable_core.journal.signing import verify_signature
    from mutable_core.journal.verifier import bundle_files, check_bundle, in_words, keys_of

    try:
        keys = keys_of(arguments.key, "`--key`") if arguments.key else None
        report = check_bundle(bundle_files(path), keys, verify=verify_signature)
    except ValueError as error:
        raise MalformedSource(str(error), where=str(path)) from error
    if arguments.json:
        print_json(report._asdict() | {"bundle": str(path)})
    else:
        print(f"{path}: {in_words(report)}")
    return 0 if report.ok else 1


def _show_row(path: Path, seq: int, *, as_json: bool) -> int:
    from deployment.export import inclusion

    proof = inclusion(path, seq)
    if as_json:
        print_json(proof._asdict() | {"journal": str(path)})
        return 0
    print(f"{path}: row {seq} is leaf {proof.leaf_index} of {proof.tree_rows} under the signed root {proof.root}")
    print(f"row        {proof.row}")
    print(f"leaf       {proof.leaf}")
    for one in proof.path:
        print(f"beside     {one}")
    print(f"checkpoint {proof.checkpoint}")
    print(f"signature  {proof.signature}")
    return 0


def _export_verifier(to: Path, *, as_json: bool) -> int:
    from mutable_core.errors import DiskUnavailable
    from mutable_core.journal import verifier

    text = Path(verifier.__file__).read_bytes()
    try:
        with to.open("xb") as file:
            file.write(text)
    except OSError as error:
        raise DiskUnavailable(
            f"the verifier cannot be written: {error.strerror}", where=str(to), to_do="name a file that does not exist"
        ) from error
    if as_json:
        print_json({"verifier": str(to), "bytes": len(text)})
    else:
        print(f"{to}: {len(text)} bytes; run it with: python3 -I {to} JOURNAL|BUNDLE --key KEY")
    return 0


COMMAND = Command(
    "verify",
    "check a journal: every row, its order, its signatures, and the file; name the first bad row",
    _arguments,
    _run,
)
