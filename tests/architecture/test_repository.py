"""What is committed: small, ours, and of no particular machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from hashlib import sha256

import pytest

from tests.architecture.house import TOP, house_files, named, python_files, repository_files

SHARED = TOP.parent / "shared" / "data"
HERE = "tests/architecture/"
"""These files name what they look for."""

TEXT_SUFFIXES = {
    "", ".cfg", ".css", ".csv", ".html", ".ini", ".js", ".json", ".lock", ".md", ".py", ".service", ".sh", ".sql",
    ".toml", ".txt", ".typed", ".yaml", ".yml",
}  # fmt: skip

MACHINE = {
    "a folder of somebody's machine": re.compile(r"(?<![\w./~$}-])/(work|root|home/\w+|Users/\w+|mnt/\w+)/\w"),
    "an address of a private network": re.compile(
        r"\b(10(\.\d{1,3}){3}|192\.168(\.\d{1,3}){2}|172\.(1[6-9]|2\d|3[01])(\.\d{1,3}){2})\b"
    ),
    "a package index": re.compile(
        r"--(extra-)?index-url[ =]\S|--trusted-host|\b(pypi|registry|artifactory|nexus|mirror)s?\.[\w.-]+\.\w+/|files\.python"
    ),
    "a secret": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(ghp|gho|glpat|sk-ant|AKIA)[-_A-Za-z0-9]{16,}"),
}


def text_files() -> list[tuple[str, str]]:
    return [
        (named(path), path.read_text())
        for path in repository_files()
        if path.suffix in TEXT_SUFFIXES and not named(path).startswith(HERE)
    ]


@pytest.mark.parametrize("what", MACHINE)
def test_no_file_names_a_machine_of_ours(what: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in text_files()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE[what].search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a folder of somebody's machine", 'DATA = "/root/data/bars"'),
        ("a folder of somebody's machine", "cd /home/ann/ark"),
        ("an address of a private network", "http://10.1.2.3:8080"),
        ("a package index", "pip install --index-url https://x/simple"),
        ("a package index", "https://pypi.corp.example/simple"),
        ("a secret", "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_the_search_finds_it(what: str, line: str) -> None:
    assert MACHINE[what].search(line)


def test_every_file_is_smaller_than_a_megabyte() -> None:
    assert [named(path) for path in repository_files() if path.stat().st_size >= 1_000_000] == []


def test_no_file_of_the_shared_data_is_in_the_repository() -> None:
    """Its licences differ; only the embedded file, which has its own provenance, is ours to give away."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    theirs: dict[int, list[str]] = {}
    for path in SHARED.iterdir():
        theirs.setdefault(path.stat().st_size, []).append(sha256(path.read_bytes()).hexdigest())
    for path in repository_files():
        size = path.stat().st_size
        if size > 1_000 and size in theirs:
            assert sha256(path.read_bytes()).hexdigest() not in theirs[size], named(path)


def test_the_embedded_data_is_the_file_that_its_readme_names() -> None:
    data = (TOP / "agents/kyle/sources/data/stocks.csv.gz").read_bytes()
    digest = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
    assert sha256(data).hexdigest() == digest
    assert digest in (TOP / "agents/kyle/sources/data/README.md").read_text()


def test_the_reference_pages_say_what_the_code_says() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "docs", "--check"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_no_work_is_left_behind_in_comments() -> None:
    """Without an issue nobody finds it again; the ruff rules for these are off because this test is here."""
    marks = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
    for path in house_files() + python_files("tests/**/*.py", "docs/**/*.py", "benchmarks/**/*.py"):
        if not named(path).startswith(HERE):
            assert not [line for line in path.read_text().splitlines() if marks.search(line)], named(path)


def test_no_folder_or_module_is_called_by_what_it_does_not_say() -> None:
    empty = {"base", "common", "core", "helper", "helpers", "lib", "manager", "misc", "service", "src", "util", "utils"}
    for path in house_files():
        assert not empty & {*path.relative_to(TOP).with_suffix("").parts}, named(path)


def test_every_module_of_the_house_opens_with_a_sentence() -> None:
    """STYLE 9: a newcomer reads it first. Packages that only mark a folder may be silent."""
    for path in house_files():
        text = path.read_text()
        if path.name == "__init__.py" and len(text.splitlines()) < 3:
            continue
        assert ast.get_docstring(ast.parse(text)), named(path)


def test_every_agent_and_every_doc_link_leads_somewhere() -> None:
    """Relative links of Markdown files, to files that are there."""
    link = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
    broken = [
        f"{named(path)}: {target}"
        for path in repository_files()
        if path.suffix == ".md"
        for target in link.findall(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []
