"""``dp mcp``: promises as tools of an agent, asked by the protocol's own client."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from dp_core import Pending, Resolved, connect
from dp_core.cli._commands._serving._agents._tools import agent_server
from support.core.agents import agent, told
from support.core.program import PROGRAM, Run
from support.server_process import running


@pytest.fixture
def anyio_backend() -> str:
    """Run the client, which is not ours, on one event loop."""
    return "asyncio"


TOOLS = {
    "create_promise",
    "peek_promise",
    "wait_for_promise",
    "resolve_promise",
    "reject_promise",
    "list_promises",
}
SECONDS = 60


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool; return the error that the agent reads."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    (text,) = result.content
    assert isinstance(text, TextContent)
    return text.text


# The tools -------------------------------------------------------------------


async def test_the_tools_do_what_the_library_does(tmp_path: Path) -> None:
    """What an agent does is seen by others, and what they do is seen by it."""
    url = f"file:{tmp_path}/promises"
    async with agent(url, "--by", "agent-7") as client, connect(url) as promises:
        tools = (await client.list_tools()).tools
        made = await told(
            client,
            "create_promise",
            id="approve-17",
            deadline="3d",
            tags={"kind": "approval"},
            data={"amount": 1200},
        )
        info = await promises.promise("approve-17").info()
        won = await told(client, "resolve_promise", id="approve-17", value=[1, None])
        late = await told(client, "reject_promise", id="approve-17", error="no")
        outcome = await promises.promise("approve-17").peek()
        await promises.promise("b").reject("no money", by="alice")
        seen = await told(client, "peek_promise", id="b")
        page = await told(client, "list_promises", limit=1)
        rest = await told(client, "list_promises", after=page["after"], limit=1)
        found = await told(
            client, "list_promises", state="resolved", tags={"kind": "approval"}
        )

    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.description and tool.output_schema for tool in tools)
    assert info.terms is not None
    assert info.terms.deadline is not None
    assert ("pending", {"amount": 1200}) == (made["state"], made["data"])
    assert ({"kind": "approval"}, {"amount": 1200}) == (
        info.terms.tags,
        info.terms.data,
    )
    assert ("resolved", [1, None], "agent-7") == (
        won["state"],
        won["value"],
        won["settledBy"],
    )
    assert late == won
    assert Resolved([1, None]) == outcome
    assert ("rejected", "no money", "alice") == (
        seen["state"],
        seen["error"],
        seen["settledBy"],
    )
    assert (["b"], ["approve-17"]) == (ids(page), ids(rest))
    assert (["approve-17"], None) == (ids(found), rest["after"])


async def test_a_damaged_promise_hides_no_other(tmp_path: Path) -> None:
    """A list has those that can be read, and says which cannot."""
    url = f"file:{tmp_path}/promises"
    async with connect(url) as promises:
        for id in ("a", "b", "c"):
            await promises.promise(id).resolve(f"value of {id}")
        await promises.backend.settle("strange", Resolved(b"NaN"))
    (path,) = (
        each
        for each in (tmp_path / "promises").rglob("*")
        if each.is_file() and b"value of b" in each.read_bytes()
    )
    path.write_bytes(path.read_bytes()[:-20])
    async with agent(url) as client:
        page = await told(client, "list_promises")

    assert {"a", "c"} == set(ids(page))
    assert {"b", "strange"} == {each["promiseId"] for each in page["failures"]}
    assert all(each["error"] for each in page["failures"])


async def test_hints_say_what_a_repetition_does(tmp_path: Path) -> None:
    """A create without an id makes another promise each time; all else is safe."""
    async with agent(f"file:{tmp_path}/promises") as client:
        tools = (await client.list_tools()).tools

    assert {name: name != "create_promise" for name in TOOLS} == {
        tool.name: tool.annotations and tool.annotations.idempotent_hint
        for tool in tools
    }


async def test_callbacks_are_no_business_of_agents(tmp_path: Path) -> None:
    """What keeps whether a callback was made is not listed, told, or settled."""
    url = f"file:{tmp_path}/promises"
    async with connect(url) as promises:
        await promises.create("order-17", notify=["https://example.com/a-secret"])
        (delivery,) = [
            info.id async for info in promises.list(tags={"dp.kind": "delivery"})
        ]
        async with agent(url) as client:
            for tags in ({}, {"dp.kind": "delivery"}, {"dp.of": "order-17"}):
                page = await told(client, "list_promises", tags=tags)
                assert (["order-17"] if not tags else []) == ids(page)
                assert "a-secret" not in repr(page)
            for tool, more in (
                ("create_promise", {}),
                ("peek_promise", {}),
                ("wait_for_promise", {"seconds": 0}),
                ("resolve_promise", {"value": 1}),
                ("reject_promise", {"error": "no"}),
            ):
                assert "callback" in await refused(client, tool, id=delivery, **more)
        assert Pending() == await promises.promise(delivery).peek()


def ids(page: dict[str, Any]) -> list[str]:
    """Return the ids on a page."""
    return [known["promiseId"] for known in page["promises"]]


async def test_a_question_outlives_the_agent_that_asked(tmp_path: Path) -> None:
    """A person answers when no agent is there; the next one is told at once."""
    url = f"file:{tmp_path}/promises"
    async with agent(url) as client:
        asked = await told(client, "create_promise", data={"question": "Deploy?"})
        waited = await told(
            client, "wait_for_promise", id=asked["promiseId"], seconds=0.05
        )
    async with connect(url) as promises:
        await promises.promise(asked["promiseId"]).resolve("yes", by="alice")
    async with agent(url) as client:
        answer = await told(client, "wait_for_promise", id=asked["promiseId"])

    assert 32 == len(asked["promiseId"])
    assert "pending" == waited["state"]
    assert ("yes", "alice") == (answer["value"], answer["settledBy"])


async def test_a_wait_ends_with_the_settle() -> None:
    """Over HTTP as well: who waits is told, and other calls go on meanwhile."""
    with running("memory:") as server:
        url = f"http://127.0.0.1:{server.port}"
        async with agent(url) as client, anyio.create_task_group() as tasks:
            answers: list[dict[str, Any]] = []

            async def wait() -> None:
                answers.append(
                    await told(client, "wait_for_promise", id="x", seconds=SECONDS)
                )

            tasks.start_soon(wait)
            await told(client, "resolve_promise", id="x", value={"a": 1})

    assert [("resolved", {"a": 1})] == [(a["state"], a["value"]) for a in answers]


async def test_errors_say_to_the_agent_what_to_do(tmp_path: Path) -> None:
    """Each names what is wrong with the call; none is a traceback."""
    async with agent(f"file:{tmp_path}/promises") as client:
        for words, tool, arguments in (
            ("it is empty", "peek_promise", {"id": ""}),
            ("such as 3d, 2h30m", "create_promise", {"deadline": "soon"}),
            ("choose another key", "create_promise", {"tags": {"dp.kind": "x"}}),
            ("less than or equal to", "wait_for_promise", {"id": "a", "seconds": 1e9}),
            ("not a valid number", "wait_for_promise", {"id": "a", "seconds": "1_0"}),
            ("not a valid number", "list_promises", {"limit": "1_0"}),
            ("id\n  Field required", "resolve_promise", {"value": 1}),
            (
                "limit of 1,048,576",
                "resolve_promise",
                {"id": "a", "value": "x" * 2**20},
            ),
            ("'pending', 'resolved' or 'rejected'", "list_promises", {"state": "over"}),
            ("Unknown tool", "dispose_promise", {"id": "a"}),
        ):
            assert words in await refused(client, tool, **arguments)


async def test_a_store_that_keeps_outcomes_only_says_so(plain: str) -> None:
    """Waits and settles work there; terms and lists are refused with the reason."""
    async with (
        connect(plain) as promises,
        Client(agent_server(promises, None)) as client,
    ):
        won = await told(client, "resolve_promise", id="a", value=5)
        assert won == await told(client, "wait_for_promise", id="a")
        assert "keeps outcomes only" in await refused(client, "create_promise")
        assert "keeps outcomes only" in await refused(client, "list_promises")

    assert ("resolved", 5, None) == (won["state"], won["value"], won["createdAt"])


# The process ------------------------------------------------------------------


def test_it_ends_with_its_host(tmp_path: Path) -> None:
    """At the end of stdin, and by Ctrl-C, however long it waits for a message."""
    for end in ("stdin", "SIGINT"):
        with subprocess.Popen(
            [*PROGRAM, "mcp", "--url", f"file:{tmp_path}/promises"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            # It reads messages from here on.
            process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
            process.stdin.flush()
            process.stdout.readline()
            if end == "stdin":
                process.stdin.close()
            else:
                process.send_signal(signal.SIGINT)
            assert (0 if end == "stdin" else -signal.SIGINT) == process.wait(SECONDS)
            assert process.stderr is not None
            assert b"" == process.stderr.read()


def test_without_its_library_it_says_what_to_install(tmp_path: Path) -> None:
    """The extra that brings it is named; the other commands need none."""
    program = (
        "import sys; sys.modules['mcp'] = None\n"
        "from dp_core.cli import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "mcp", "--url", f"file:{tmp_path}/promises"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert 2 == done.returncode
    assert "pip install 'durable-promises[mcp]'" in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_a_wrong_url_is_said_before_the_first_message(dp: Run) -> None:
    """The host logs it; nothing on stdout is taken for a message."""
    done = dp("mcp", "--url", "nowhere:x")

    assert (2, b"") == (done.returncode, done.stdout)
    assert b"the schemes known here are" in done.stderr
