"""`dp` and callbacks: URLs to notify, keys of receivers, and copies."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import dp_core.sync as dp

URL = "https://hooks.example.com/a"
LINES = ["the first secret, which signs tokens", "a second one that is as long as that"]


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `dp`, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "dp_core", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert code == done.returncode, done.stderr
    return done


def test_keys_of_receivers_are_printed(tmp_path: Path) -> None:
    """One a line, for each secret, derived as the documentation says."""
    file = tmp_path / "secrets"
    file.write_text("\n".join(LINES) + "\n\n")
    file.chmod(0o600)

    keys = run("token", "--secret-file", str(file), "--webhook-key").stdout

    expected = [
        "whsec_"
        + b64encode(hmac.digest(line.encode(), b"dp webhook v1", "sha256")).decode()
        for line in LINES
    ]
    assert expected == keys.splitlines()
    for extra in (["--rights", "read"], ["--id", "a"], ["--expires", "3d"]):
        arguments = ["--secret-file", str(file), "--webhook-key", *extra]
        assert (
            "goes with --secret-file alone" in run("token", *arguments, code=2).stderr
        )


def test_a_token_still_needs_its_options(tmp_path: Path) -> None:
    """Without --webhook-key it must be said what a token allows, and until when."""
    assert "--rights" in run("token", "--id", "a", "--expires", "3d", code=2).stderr
    assert "--expires" in run("token", "--id", "a", "--rights", "read", code=2).stderr


def test_a_create_names_urls(tmp_path: Path) -> None:
    """They are kept and shown; the deliveries are listed by their tag alone."""
    url = f"sqlite:{tmp_path}/promises.db"
    arguments = ["create", "a", "--notify", URL, "--notify", f"{URL}b", "--url", url]

    shown = run(*arguments).stdout
    again = json.loads(run(*arguments, "--json").stdout)
    listed = run("list", "--json", "--url", url).stdout
    tagged = run("list", "--json", "--tag", "dp.of=a", "--url", url).stdout

    assert f"notify     {URL}\nnotify     {URL}b\n" in shown
    assert [URL, f"{URL}b"] == again["notify"]
    assert 1 == len(listed.splitlines())
    assert 2 == len(tagged.splitlines())
    refused = run("create", "b", "--notify", "x", "--url", url, code=2)
    assert "not a valid URL to notify" in refused.stderr
    run("dispose", "a", "--url", url)
    tagged = run("list", "--json", "--tag", "dp.of=a", "--url", url).stdout
    assert ["rejected"] * 2 == [
        json.loads(each)["state"] for each in tagged.splitlines()
    ]


def test_a_copy_takes_along_what_is_still_to_be_told(tmp_path: Path) -> None:
    """Callbacks of what is pending are minted anew; what was told is not told again."""
    one, other = (f"sqlite:{tmp_path}/{name}.db" for name in ("one", "other"))
    with dp.connect(one) as promises:
        promises.create("pending", notify=[URL])
        promises.create("settled", notify=[URL]).resolve(1)
        mine = {info.id for info in promises.list(tags={"dp.kind": "delivery"})}

    assert "2 promises" in run("copy", one, other).stdout
    assert "2 promises" in run("copy", one, other).stdout
    with dp.connect(other) as promises:
        found = {info.id: info for info in promises.list()}
        minted = list(promises.list(tags={"dp.kind": "delivery"}))

    assert {"pending", "settled"} == set(found)
    assert found["settled"].terms is not None
    assert () == found["settled"].terms.notify
    assert found["pending"].terms is not None
    assert [each.delivery for each in found["pending"].terms.notify] == [
        each.id for each in minted
    ]
    assert not mine & {each.id for each in minted}


def test_a_misspelt_host_ends_the_server(tmp_path: Path) -> None:
    """It does not start, and says what a host is."""
    arguments = ["--url", "memory:", "--port", "0", "--notify-allow", "https://x.org"]

    assert "not a valid host" in run("serve", *arguments, code=2).stderr
