"""`check_store`: what `dp doctor` says of a directory, which it leaves as it is."""

from __future__ import annotations

from pathlib import Path

from dp_backends.file._opening import check_store
from dp_backends.file._store import FileStore
from dp_core.backend import Check


def found(root: Path | str) -> dict[str, list[Check]]:
    """Return the checks of a directory, by their names."""
    checks: dict[str, list[Check]] = {}
    for check in check_store(str(root)):
        checks.setdefault(check.name, []).append(check)
    return checks


def test_a_directory_that_is_no_whole_store_yet_is_a_warning(tmp_path: Path) -> None:
    """Whoever made it may have died; or the URL names another directory than meant."""
    (tmp_path / "store" / "p").mkdir(parents=True)

    (check,) = found(tmp_path / "store")["store"]

    assert "warning" == check.status
    assert "is not a whole store yet" in check.text
    assert [tmp_path / "store" / "p"] == list((tmp_path / "store").iterdir())


def test_a_directory_above_into_which_others_may_write_is_a_warning(
    tmp_path: Path,
) -> None:
    """They could put another store in the place of this one."""
    store = FileStore(str(tmp_path / "open" / "store"))
    store.open()
    assert "directory" not in found(store.root)
    (tmp_path / "open").chmod(0o777)

    (check,) = found(store.root)["directory"]

    assert "warning" == check.status
    assert f"others may write into {tmp_path}/open" in check.text


def test_a_path_that_cannot_be_looked_at_is_a_problem(tmp_path: Path) -> None:
    """What the system says of it is said."""
    (tmp_path / "loop").symlink_to("loop")

    (check,) = found(tmp_path / "loop" / "store")["directory"]

    assert "problem" == check.status
    assert f"cannot look at {tmp_path}/loop/store" in check.text
