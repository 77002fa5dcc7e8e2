"""Reading a CSV, gzip-compressed CSV or Parquet file into columns, or saying in one line why it cannot be read.

What kind of file it is, its first bytes say; its name does not matter. Cells of a CSV stay the text that they are.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from mutable_core.errors import MalformedSource

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_CHUNK_BYTES = 1 << 20
_SYNONYMS = {"ticker": "symbol"}
_TRY_AGAIN = "copy or download the file again"


def content_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hex digits.

    Raises:
        MalformedSource: the file cannot be read or is empty.
    """
    digest = hashlib.sha256()
    is_empty = True
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                is_empty = False
    except (OSError, ValueError) as error:
        raise _unreadable(error, path) from error
    if is_empty:
        raise MalformedSource("the file is empty", where=str(path), to_do=_TRY_AGAIN)
    return digest.hexdigest()


def read_table(path: Path) -> pa.Table:
    """All columns of the file, with the names of `layouts`.

    Raises:
        MalformedSource: unreadable, half-written, no table, no rows, or a column twice.
    """
    try:
        table = _read_any(path)
    except pa.ArrowInvalid as error:
        raise _malformed(error, path) from error
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _unreadable(error, path) from error
    return _checked(table, path)


def _read_any(path: Path) -> pa.Table:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == _PARQUET_MAGIC:
        # Arrow's own opening by path may memory-map; a file that shrinks under us would then kill the process.
        with path.open("rb") as file:
            return pa_parquet.read_table(file)
    compression = "gzip" if magic.startswith(_GZIP_MAGIC) else None
    with path.open("rb") as file, pa.input_stream(file, compression=compression) as stream:
        return _read_csv(stream)


def _read_csv(stream: pa.NativeFile) -> pa.Table:
    """Every cell as text. One thread, so that an error names its row."""
    header_options = pa_csv.ReadOptions(use_threads=False, block_size=_CHUNK_BYTES)
    data = stream.read()
    names = pa_csv.open_csv(pa.BufferReader(data), read_options=header_options).schema.names
    text = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return pa_csv.read_csv(pa.BufferReader(data), read_options=header_options, convert_options=text)


def _checked(table: pa.Table, path: Path) -> pa.Table:
    names = _column_names(table.column_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MalformedSource(f"column `{twice[0]}` is there twice", where=str(path), to_do="keep one of them")
    if table.num_rows == 0:
        raise MalformedSource("the file has a header and no rows", where=str(path), to_do=_TRY_AGAIN)
    return table.rename_columns(names)


def _column_names(raw: list[str]) -> list[str]:
    names = [name.strip().lower().replace(" ", "_") for name in raw]
    return [_SYNONYMS[name] if name in _SYNONYMS and _SYNONYMS[name] not in names else name for name in names]


def _malformed(error: Exception, path: Path) -> MalformedSource:
    """Arrow counts the header as row 1, as an editor does."""
    line = _first_line(error)
    row = re.search(r"Row #(\d+)", line)
    where = f"{path}, line {row[1]}" if row else str(path)
    return MalformedSource(f"the file is not a whole CSV or Parquet table: {line}", where=where, to_do=_TRY_AGAIN)


def _unreadable(error: Exception, path: Path) -> MalformedSource:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)
    to_do = "check the path and its permissions" if isinstance(error, OSError) and error.errno else _TRY_AGAIN
    return MalformedSource(f"the file could not be read: {reason}", where=str(path), to_do=to_do)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
