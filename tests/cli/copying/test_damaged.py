"""``dp copy`` from a store that is damaged: the rest is copied."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

import dp_core as dp
from dp_core.cli._commands import _copy
from support.core.program import Run
from support.core.stores import MANY, settle, settle_bytes, states


def damage(store: str, id: str, how: str) -> None:
    """Change a record as a disk, an editor or a restored backup may."""
    name = sha256(id.encode()).hexdigest()
    record = Path(store.removeprefix("file:")) / "p" / name[:2] / f"{name}.json"
    content = record.read_bytes()
    record.write_bytes(
        {
            "a value": content.replace(b'"resolved": ', b'"resolved": 1'),
            "cut": content[: len(content) // 2],
            "empty": b"",
            "garbage": b"\xff\x00" * 100,
            "another id": content.replace(id.encode(), b"other"),
        }[how]
    )


@pytest.mark.parametrize("how", ["a value", "cut", "empty", "garbage", "another id"])
def test_one_damaged_record_does_not_stop_the_rest(
    here: Run, source: str, target: str, how: str
) -> None:
    """All others are copied; it is named at the end, by its id where that is left."""
    settle(source, MANY)
    damage(source, "id ä7", how)

    done = here("copy", source, target)

    assert 1 == done.returncode
    assert f"99 promises of {source} are in {target}\n".encode() == done.stdout
    title, line = done.stderr.decode().splitlines()
    assert "dp: 1 promises could not be copied:" == title
    known = how in {"a value", "cut"}
    name = sha256("id ä7".encode()).hexdigest()
    assert line.startswith(
        "dp: 'id ä7': the " if known else f"dp: '{name}': the record "
    )
    others = {id: n for id, n in MANY.items() if id != "id ä7"}
    assert list(map(dp.Resolved, others.values())) == states(target, others)
    assert 1 == here("copy", source, target).returncode
    named = here("copy", source, target, "--ids", "-", input="id ä7\n".encode())
    assert (1, b"0 promises") == (named.returncode, named.stdout[:10])
    assert "dp: 'id ä7': " in named.stderr.decode()


def test_many_damaged_records_do_not_stop_it_either(
    here: Run, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole page of records whose ids are lost is gone past; few are named."""
    monkeypatch.setattr(_copy, "_NAMED", 3)
    settle(source, MANY)
    for id in list(MANY)[:80]:
        damage(source, id, "garbage")

    done = here("copy", source, target)

    assert 1 == done.returncode
    assert done.stdout.startswith(b"20 promises")
    assert 5 == len(done.stderr.splitlines())
    assert done.stderr.startswith(b"dp: 80 promises could not be copied:\n")
    assert done.stderr.endswith(b"dp: and 77 more\n")


STRANGE = {
    "surrogate": b'"\\ud800"',
    "twice": b'{"a":1,"a":2}',
    "deep": b"[" * 200 + b"]" * 200,
    "nan": b"NaN",
    "huge": b"[1e999]",
    "bytes": b'"\xff"',
    "no json": b"{",
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_no_store_takes_is_carried_to_none(
    here: Run, source: str, target: str, case: str
) -> None:
    """An older version's or a stranger's outcome is named; peek says it in a line."""
    settle(source, {"good": 1})
    settle_bytes(source, case, dp.Resolved(STRANGE[case]))

    done = here("copy", source, target)
    by_name = here(
        "copy", source, target, "--ids", "-", input=f"{case}\ngood\n".encode()
    )

    for end in (done, by_name):
        assert 1 == end.returncode
        assert end.stdout.startswith(b"1 promises")
        word = f"{case!r}: the store holds what no store takes"
        assert word in end.stderr.decode()
    assert [dp.Pending()] == states(target, [case])
    for command in ("peek", "get", "resolve", "info", "watch"):
        seen = here(command, case, "--url", source)
        assert (2, b"") == (seen.returncode, seen.stdout)
        assert 1 == seen.stderr.count(b"\n")
    with pytest.raises(dp.CorruptPromiseError):
        states(source, [case])
