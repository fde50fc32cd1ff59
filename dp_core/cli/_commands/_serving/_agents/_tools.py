"""`agent_server`: the operations on promises as tools, with schemas made from types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Annotated, Any, Final, ParamSpec, TypeAlias, TypeVar, final

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, BeforeValidator, Field, JsonValue
from pydantic.alias_generators import to_camel

from dp_core._client import Promises
from dp_core._errors import (
    CorruptPromiseError,
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidTermsError,
    PromiseRejectedError,
    PromiseTimeoutError,
)
from dp_core._ids import is_delivery
from dp_core._outbox import without_deliveries
from dp_core._promise import DurablePromise
from dp_core._registry import info_of, registry_of
from dp_core._terms import PromiseInfo, Query, StateName
from dp_core._text import read_number
from dp_core._version import __version__
from dp_core.cli._commands._asking import checked_info
from dp_core.cli._commands._serving._agents._tasks import (
    DEFAULT_SECONDS,
    MAX_SECONDS,
    WAIT,
    WaitsAsTasks,
)
from dp_core.cli._times import read_time
from dp_core.wire import write_info

__all__ = ["agent_server"]

P = ParamSpec("P")
T = TypeVar("T")

_INSTRUCTIONS: Final = """\
A durable promise has an id. It is pending until somebody resolves it with a value or
rejects it with an error message; the first outcome wins for ever. It outlives every
process, so you can create one, ask a person or another system to settle it, and wait
for it now or in a later session, by its id. Repeating a call with an id does no harm.
"""

_Id: TypeAlias = Annotated[
    str, Field(description="The id of the promise, such as approve-17.")
]
_Tags: TypeAlias = Annotated[
    dict[str, str], Field(description='Tags to find it by, such as {"order": "17"}.')
]


def _plain(value: object) -> object:
    """Read a number that is given as text; pydantic also takes one as ``"1_0"``."""
    return read_number(value) if isinstance(value, str) else value


class PromiseReport(BaseModel, alias_generator=to_camel, populate_by_name=True):
    """Report of all that is known about a promise, in the words of the wire."""

    promise_id: str
    state: StateName
    value: JsonValue = Field(None, description="What it is resolved with.")
    error: str | None = Field(None, description="What it is rejected with.")
    deadline: str | None
    tags: dict[str, str] | None
    data: JsonValue
    created_at: str | None
    settled_at: str | None
    settled_by: str | None
    expired: bool = Field(description="Whether its deadline has settled it.")


class DamagedPromise(BaseModel, alias_generator=to_camel, populate_by_name=True):
    """Promise that its store cannot read."""

    promise_id: str
    error: str


class PromisePage(BaseModel):
    """Page of promises of a store."""

    promises: list[PromiseReport]
    failures: list[DamagedPromise]
    after: str | None = Field(description="Where to go on; null at the end.")


def agent_server(promises: Promises, by: str | None) -> MCPServer:
    """Return a server of the tools, whose settles are by *by*."""
    tools = _Tools(promises, by)

    async def look(id: str) -> CallToolResult:
        found = await server.call_tool(WAIT, {"id": id, "seconds": 0})
        assert isinstance(found, CallToolResult)  # noqa: S101 - no tool asks for input
        return found

    server: MCPServer = MCPServer(
        "durable-promises",
        title="Durable promises",
        instructions=_INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
        extensions=[WaitsAsTasks(look)],
    )
    for name, tool, reads, is_idempotent in (
        # Each call without an id makes another promise.
        ("create_promise", tools.create, False, False),
        ("peek_promise", tools.peek, True, True),
        (WAIT, tools.wait, True, True),
        ("resolve_promise", tools.resolve, False, True),
        ("reject_promise", tools.reject, False, True),
        ("list_promises", tools.list, True, True),
    ):
        server.add_tool(
            _anticipated(tool),
            name=name,
            annotations=ToolAnnotations(
                read_only_hint=reads,
                destructive_hint=False,
                idempotent_hint=is_idempotent,
            ),
        )
    return server


def _anticipated(tool: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Let the agent read our errors, which say what to do."""

    @wraps(tool)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await tool(*args, **kwargs)
        except DurablePromiseError as error:
            raise ToolError(str(error)) from None

    return run


@final
class _Tools:
    """The tools, by the operations of one store; their docstrings are for the agent."""

    def __init__(self, promises: Promises, by: str | None) -> None:
        self._promises = promises
        self._by = by

    async def create(
        self,
        id: Annotated[
            str | None, Field(description="Its id; by default a new, random one.")
        ] = None,
        deadline: Annotated[
            str | None,
            Field(
                description="When it is rejected if nobody has settled it: from now, "
                "such as 3d, 2h30m or 90s, or a moment such as 2026-11-26T14:30:00Z."
            ),
        ] = None,
        tags: _Tags = {},  # noqa: B006 - never changed; the schema shows it
        data: Annotated[
            JsonValue,
            Field(
                description="What it is about, for whoever settles it. A list of texts "
                "as its member choices is shown to a person as buttons."
            ),
        ] = None,
    ) -> PromiseReport:
        """Give a promise its terms; the first terms stand, whoever made them."""
        try:
            until = None if deadline is None else read_time(deadline)
        except ValueError as error:
            raise InvalidTermsError(str(error)) from None
        if id is not None:
            _refuse_delivery(id)
        promise = await self._promises.create(id, deadline=until, tags=tags, data=data)
        return await self._known(promise)

    async def peek(self, id: _Id) -> PromiseReport:
        """Tell the state of a promise, and all that is known of it, without waiting."""
        return await self._known(self._promise(id))

    async def wait(
        self,
        id: _Id,
        seconds: Annotated[
            float,
            BeforeValidator(_plain),
            Field(ge=0, le=MAX_SECONDS, description="The longest time to wait."),
        ] = DEFAULT_SECONDS,
    ) -> PromiseReport:
        """Wait until a promise is settled; where it is still pending then, say so."""
        promise = self._promise(id)
        with suppress(PromiseRejectedError, PromiseTimeoutError):
            await promise.get(timeout=seconds)
        return await self._known(promise)

    async def resolve(
        self,
        id: _Id,
        value: Annotated[JsonValue, Field(description="The value, any JSON.")] = None,
    ) -> PromiseReport:
        """Settle a promise with a value; tell the outcome that stands, whoever won."""
        promise = self._promise(id)
        await promise.resolve(value, by=self._by)
        return await self._known(promise)

    async def reject(
        self,
        id: _Id,
        error: Annotated[str, Field(description="The reason why it has no value.")],
    ) -> PromiseReport:
        """Settle a promise with an error; tell the outcome that stands, whoever won."""
        promise = self._promise(id)
        await promise.reject(error, by=self._by)
        return await self._known(promise)

    async def list(
        self,
        state: Annotated[
            StateName | None, Field(description="Those in this state.")
        ] = None,
        tags: Annotated[
            dict[str, str], Field(description="Those that have all of these tags.")
        ] = {},  # noqa: B006 - never changed; the schema shows it
        prefix: Annotated[
            str, Field(description="Those whose ids begin with this.")
        ] = "",
        after: Annotated[
            str | None, Field(description="Go on here: the after of the page before.")
        ] = None,
        limit: Annotated[int, BeforeValidator(_plain), Field(ge=1, le=100)] = 20,
    ) -> PromisePage:
        """List promises that were created or settled, the newest first."""
        registry = registry_of(self._promises.backend, self._promises.url)
        query = Query(state, tags, prefix, newest=True)
        found = await registry.list(query, after, limit)
        # Also where their tags are asked for.
        page = without_deliveries(Query(), found)
        reports: list[PromiseReport] = []
        failures = [*page.failures]
        for info in page.infos:
            try:
                reports.append(_known(info))
            except CorruptPromiseError as error:
                failures.append((info.id, error))
        return PromisePage(
            promises=reports,
            failures=[
                DamagedPromise(promise_id=id, error=str(error))
                for id, error in failures
            ],
            after=page.after,
        )

    def _promise(self, id: str) -> DurablePromise[Any]:
        _refuse_delivery(id)
        return self._promises.promise(id)

    async def _known(self, promise: DurablePromise[Any]) -> PromiseReport:
        return _known(await info_of(self._promises.backend, promise.id))


def _refuse_delivery(id: str) -> None:
    """
    Refuse an id that is none of an agent's business.

    Raises:
        InvalidPromiseIdError: It is that of a callback.
    """
    if is_delivery(id):
        raise InvalidPromiseIdError(id, "it is a callback's, which servers settle")


def _known(info: PromiseInfo[bytes]) -> PromiseReport:
    return PromiseReport.model_validate_json(write_info(checked_info(info)))
