"""Requests in the wire's form, answered: one function for each kind of endpoint."""

from __future__ import annotations

from functools import partial

from dp_core._errors import BackendError, DurablePromiseError, ProtocolError
from dp_core._observation import OBSERVERS
from dp_core._states import Outcome, Pending
from dp_core._terms import state_name
from dp_core.server._answering._serving import Serving
from dp_core.server._guarding import ClientGoneError
from dp_core.server._routing import (
    HEADERS,
    HEADERS_OF_STATUS,
    AdmittedRequest,
    Response,
)
from dp_core.wire import (
    BatchedCall,
    List,
    PromiseCall,
    Wait,
    WatchCall,
    no_operation,
    prefer_wait,
    read_batch,
    read_call,
    read_get,
    read_prefer,
    read_watch,
    read_watch_query,
    write_answer,
)

__all__ = [
    "answer_batch",
    "answer_call",
    "answer_get",
    "answer_health",
    "answer_metrics",
    "answer_openapi",
    "answer_unknown",
    "answer_watch",
    "answer_watch_query",
]


async def answer_call(serving: Serving, request: AdmittedRequest) -> Response:
    """Answer a POST about one promise, in any of the three forms."""
    read = partial(read_call, request.path, request.body, serving.largest)
    return await _done(serving, request, await serving.parsed(read, request.body))


async def answer_get(serving: Serving, request: AdmittedRequest) -> Response:
    """Answer a GET: of one promise, or of those that a query finds."""
    return await _done(serving, request, read_get(request.path, request.query))


async def answer_batch(serving: Serving, request: AdmittedRequest) -> Response:
    """Answer many calls at once."""
    read = partial(read_batch, request.body, serving.largest)
    calls = await serving.parsed(read, request.body)
    asked = [_permitted_or_why(serving, request, call) for call in calls]
    return Response(200, await serving.batches.answer(asked, request.access))


async def answer_watch(serving: Serving, request: AdmittedRequest) -> None:
    """Answer a POST by an event stream."""
    read = partial(read_watch, request.body)
    await _stream(serving, request, await serving.parsed(read, request.body))


async def answer_watch_query(serving: Serving, request: AdmittedRequest) -> None:
    """Answer a GET by an event stream."""
    await _stream(serving, request, read_watch_query(request.query))


async def answer_health(serving: Serving, request: AdmittedRequest) -> Response:
    """Answer whether the store answers, and nothing else."""
    if await serving.health.is_good():
        return Response(200, b"")
    return Response(503, b"", HEADERS_OF_STATUS[503])


async def answer_metrics(serving: Serving, request: AdmittedRequest) -> Response:
    """Answer with all counts and times, for Prometheus."""
    accept = request.headers.get(b"accept", b"").decode("latin-1")
    text, media_type = serving.meter.exposition(accept)
    return Response(200, text, media_type=media_type.encode())


async def answer_openapi(serving: Serving, request: AdmittedRequest) -> Response:
    """Answer with the description of all endpoints."""
    return Response(200, serving.description(request.root))


async def answer_unknown(serving: Serving, request: AdmittedRequest) -> Response:
    """Refuse a request for what is not here, with all forms that are."""
    raise no_operation(request.path)


async def _done(
    serving: Serving, request: AdmittedRequest, call: PromiseCall | List
) -> Response:
    call = serving.guard.permitted(request.access, call, request.scope)
    try:
        if isinstance(call, Wait):
            return await _waited(serving, request, call)
        return Response(*await serving.operations.do(call, request.access))
    except BackendError as error:
        raise serving.operations.as_seen(error, call) from None


async def _waited(serving: Serving, request: AdmittedRequest, call: Wait) -> Response:
    seconds = read_prefer(request.prefer)
    outcome = "failed"
    try:
        if OBSERVERS:
            state = await _observed(serving, request, call, seconds)
        else:
            state = await _outcome(serving, request, call, seconds)
        outcome = state_name(state)
    finally:
        serving.meter.done("await", outcome)
    if seconds is None or not isinstance(state, Pending):
        return Response(200, write_answer(state))
    applied = (b"preference-applied", prefer_wait(seconds).encode())
    return Response(202, write_answer(state), (applied,))


async def _observed(
    serving: Serving, request: AdmittedRequest, call: Wait, seconds: float | None
) -> Pending | Outcome[bytes]:
    with serving.operations.observed(call) as seen:
        try:
            seen.state = state = await _outcome(serving, request, call, seconds)
        except ClientGoneError:
            seen.cancelled = True
            raise
    return state


async def _outcome(
    serving: Serving, request: AdmittedRequest, call: Wait, seconds: float | None
) -> Pending | Outcome[bytes]:
    return await serving.waits.outcome(
        call.id, request.receive, seconds, request.access
    )


async def _stream(serving: Serving, request: AdmittedRequest, call: WatchCall) -> None:
    call = serving.guard.permitted(request.access, call, request.scope)
    try:
        failure = await serving.streams.answer(
            call, request.receive, request.send, HEADERS, request.access
        )
    except BackendError as error:
        raise serving.operations.as_seen(error, call) from None
    if failure is not None:
        serving.operations.tell_failure(call, failure)


def _permitted_or_why(
    serving: Serving, request: AdmittedRequest, asked: BatchedCall | DurablePromiseError
) -> BatchedCall | DurablePromiseError:
    """Return a call of a batch, or the error that is its answer."""
    if isinstance(asked, DurablePromiseError):
        return asked
    try:
        return serving.guard.permitted(request.access, asked, request.scope)
    except ProtocolError as error:
        return error
