"""
`Callbacks`: tells other systems what became of promises.

Each unfinished delivery is a job. Its promise is watched; once that is settled, or
disposed of, the job is due. Then the store is asked once more, as other servers may
have been faster, and only what it says then is acted upon.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import random
from typing import Final, final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, current_token

from dp_core._clock import now, watch_clock
from dp_core._errors import InvalidTermsError
from dp_core._outbox import (
    DISPOSED,
    NOT_ASKED_FOR,
    Delivery,
    create_with_callbacks,
    delivery_of,
    dispose_with_deliveries,
    end_delivery,
    named_by,
)
from dp_core._states import Rejected
from dp_core._terms import PromiseInfo, Terms, parse_callback_url
from dp_core.backend import Backend, Registry, WireBackend, call_soon
from dp_core.server._callbacks._addresses import AllowedHosts
from dp_core.server._callbacks._attempts import CallbackAttempts, Secrets
from dp_core.server._callbacks._finding import Finding
from dp_core.server._callbacks._jobs import Job, KnownJobs
from dp_core.server._callbacks._queue import DeliveryQueue
from dp_core.server._callbacks._rules import (
    SEEN_FOR,
    UNASKED_FOR,
    Answer,
    DeliveryState,
    ended_by,
    is_given_up,
    judge,
    pause_after,
)
from dp_core.server._callbacks._sending import Resolve, Sender
from dp_core.server._callbacks._watches import PromiseWatches
from dp_core.server._observing import Notices

__all__ = ["Callbacks"]

_SLICE_SECONDS: Final = 1.0
"""The longest time without a look at the clock, which somebody may set."""

_GRACE_SECONDS: Final = 1.0
"""The time that attempts under way get when the server stops."""

_SPREAD_SECONDS: Final = 0.01
"""The time for each delivery that is found, over which looks at all are spread."""


@final
class Callbacks:
    """
    The callbacks of one app.

    Args:
        backend: The backend.
        allowed: The hosts that may be called, as `AllowedHosts` takes them.
        secrets: Returns the secrets whose keys sign.
        notices: The log.
        resolve: How names are looked up; None for as this machine does.
    """

    def __init__(
        self,
        backend: Backend,
        allowed: Sequence[str],
        secrets: Secrets,
        notices: Notices,
        resolve: Resolve | None = None,
    ) -> None:
        self._backend = backend
        self._hosts = AllowedHosts(allowed)
        self._secrets = secrets
        self._notices = notices
        self._sender = Sender(self._hosts, resolve)
        self._attempts = CallbackAttempts(self._sender, secrets, notices)
        self._queue = DeliveryQueue()
        self._watches = PromiseWatches(backend, self._told)
        self._jobs = KnownJobs()
        self._has_work = anyio.Event()
        self._under_way: set[anyio.CancelScope] = set()
        self._is_running = False
        self._token: EventLoopToken | None = None

    @property
    def pending(self) -> int:
        """The number of unfinished deliveries that this server knows of."""
        return len(self._jobs)

    # What requests ask for --------------------------------------------------

    async def check(self, terms: Terms[bytes]) -> None:
        """
        Refuse terms with callbacks that this server will not make.

        Raises:
            InvalidTermsError: They have such.
        """
        if not terms.notify or isinstance(self._backend, WireBackend):
            return
        if not await self._secrets():
            raise InvalidTermsError(
                "this server makes no callbacks, as it has no secret to sign them "
                "with; its operator gives it one by dp serve --secret-file"
            )
        for each in terms.notify:
            self._hosts.check(parse_callback_url(each.url))

    async def create(
        self, registry: Registry, id: str, terms: Terms[bytes]
    ) -> Terms[bytes]:
        """Give a promise its terms; see `create_with_callbacks`."""
        stands = await create_with_callbacks(self._backend, registry, id, terms)
        if stands.notify and stands.is_first is not False and self._is_running:
            for delivery, url in named_by(stands).items():
                self._add(Delivery(delivery, id, url), was_named=True)
        return stands

    async def dispose(self, id: str) -> None:
        """Dispose of a promise; see `dispose_with_deliveries`."""
        await dispose_with_deliveries(self._backend, id)

    # The loop ---------------------------------------------------------------

    async def run(self) -> None:
        """Make callbacks, until cancelled."""
        backend = self._backend
        if not isinstance(backend, Registry) or isinstance(backend, WireBackend):
            return
        self._is_running = True
        self._token = current_token()
        watch_clock(self)
        finding = Finding(backend, self._found, self._notices)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watches.run)
                tasks.start_soon(finding.run)
                try:
                    await self._start_jobs(tasks, backend)
                finally:
                    self._sender.stop_reading()
                    for scope in self._under_way:
                        scope.deadline = anyio.current_time() + _GRACE_SECONDS
        finally:
            self._is_running = False

    async def _start_jobs(self, tasks: TaskGroup, registry: Registry) -> None:
        while True:
            moment = now().timestamp()
            while (job := self._queue.take(moment)) is not None:
                tasks.start_soon(self._run, job, registry)
            self._has_work = anyio.Event()
            pause = self._queue.pause(moment)
            if pause is None:
                await self._has_work.wait()
                continue
            with anyio.move_on_after(min(pause, _SLICE_SECONDS)):
                await self._has_work.wait()

    def clock_was_set(self) -> None:
        """Look at the clock again; see `ClockWatcher`."""
        if self._token is not None:
            call_soon(self._token, self._wake)

    def _wake(self) -> None:
        self._has_work.set()

    def _found(self, info: PromiseInfo[bytes]) -> None:
        # What has the tag and says nothing is for no promise: nobody asked for it.
        self._add(delivery_of(info) or Delivery(info.id, "", ""), info.created_at)

    def _add(
        self,
        delivery: Delivery,
        created_at: datetime | None = None,
        *,
        was_named: bool = False,
    ) -> None:
        if self._jobs.has(delivery.id):
            return
        seen = now()
        job = self._jobs.add(delivery, seen, was_named=was_named)
        if delivery.of:
            self._watches.add([delivery.of])
        if not was_named:
            age = max(seen - (created_at or seen), timedelta())
            left = max(UNASKED_FOR - age, SEEN_FOR).total_seconds()
            spread = min(len(self._jobs) * _SPREAD_SECONDS, UNASKED_FOR.total_seconds())
            self._put(job, left + random() * spread)  # noqa: S311 - no secret

    def _told(self, promise: str) -> None:
        """Let the deliveries of a promise be looked at, as there is news of it."""
        for job in self._jobs.of(promise):
            if job.is_running:
                job.is_told = True
            else:
                # Of several servers, one is the first.
                self._put(job, random())  # noqa: S311 - no secret

    def _put(self, job: Job, seconds: float) -> None:
        self._queue.put(job, now().timestamp() + seconds)
        self._has_work.set()

    # A job ------------------------------------------------------------------

    async def _run(self, job: Job, registry: Registry) -> None:
        job.is_told = False
        is_answered: bool | None = None
        # What has begun is not broken off in the middle, as it would be repeated.
        with anyio.CancelScope(shield=True) as scope:
            self._under_way.add(scope)
            try:
                is_answered = await self._work(job, registry)
            except Exception as error:  # noqa: BLE001 - a bug must not end the server
                self._failed(job, Answer(None, str(error)), is_error=True)
            finally:
                self._under_way.discard(scope)
        self._queue.done(job, now().timestamp(), is_answered=is_answered)
        if job.is_told and self._jobs.has(job.delivery.id):
            self._put(job, random())  # noqa: S311 - no secret
        self._has_work.set()

    async def _work(self, job: Job, registry: Registry) -> bool | None:
        """Do what is due; return whether the receiver has answered, if it was asked."""
        if job.outcome is not None:
            await self._end(job, registry)
            return None
        id, of = job.delivery.id, job.delivery.of
        delivery = await registry.info(id)
        promise = await registry.info(of) if of else None
        verdict = judge(delivery, promise, now(), job.seen, was_named=job.was_named)
        if (
            verdict is DeliveryState.DUE
            and promise is not None
            and promise.terms is not None
        ):
            if not job.was_named:
                job.was_named, job.failures = True, 0
            return await self._attempt(job, registry, promise, promise.terms)
        match verdict:
            case DeliveryState.TO_COME:
                job.was_named = True
                self._watches.add([of])
            case DeliveryState.UNNAMED:
                job.failures += 1
                self._put(job, pause_after(job.failures))
            case DeliveryState.NOT_ASKED_FOR:
                job.outcome = DISPOSED if job.was_named else NOT_ASKED_FOR
                await self._end(job, registry)
            case _:
                self._jobs.discard(job)
        return None

    async def _attempt(
        self,
        job: Job,
        registry: Registry,
        promise: PromiseInfo[bytes],
        terms: Terms[bytes],
    ) -> bool | None:
        answer = await self._attempts.make(job.delivery.id, promise, terms)
        if answer is None:
            job.failures += 1
            self._put(job, pause_after(job.failures))
            return None
        job.outcome = ended_by(answer)
        if job.outcome is None and is_given_up(promise.settled_at, job.seen, now()):
            job.outcome = Rejected(f"given up after three days: {answer}")
        if job.outcome is None:
            self._failed(job, answer)
        else:
            if isinstance(job.outcome, Rejected):
                self._attempts.tell(job, str(job.outcome.error))
            await self._end(job, registry)
        return answer.status is not None

    def _failed(self, job: Job, answer: Answer, *, is_error: bool = False) -> None:
        job.failures += 1
        pause = pause_after(job.failures, answer, now())
        self._put(job, pause)
        self._attempts.tell(
            job, f"{answer}; the next attempt is in {pause:.0f} s", is_error=is_error
        )

    async def _end(self, job: Job, registry: Registry) -> None:
        """Write the outcome of a delivery to the store, and forget it here."""
        outcome = job.outcome
        if outcome is None:
            return
        await end_delivery(self._backend, registry, job.delivery.id, outcome)
        self._jobs.discard(job)
