"""`Job`: an unfinished delivery; `KnownJobs`, all that a server knows of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, final

from dp_core._errors import InvalidTermsError
from dp_core._outbox import Delivery
from dp_core._states import Outcome
from dp_core._terms import parse_callback_url
from dp_core.server._callbacks._shares import Standing

__all__ = ["Job", "KnownJobs", "Receiver"]


@final
class Receiver(NamedTuple):
    """A receiver, as far as it matters here; ``("", 0)`` where an URL is not valid."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@final
@dataclass(eq=False, slots=True)
class Job:
    """
    A delivery that this server knows.

    Attributes:
        delivery: The delivery.
        receiver: The receiver that it is for.
        seen: Since when it is known here.
        failures: How many attempts have failed.
        was_named: Whether the terms of its promise have named it.
        outcome: What is still to be written to the store, after an attempt.
        is_running: Whether it is being looked at.
        is_told: Whether there was news while it was.
        entry: Its entry in the schedule, by number; others of it are void.
        began: When it was taken.
        place: The standing of its receiver at that time, which it has its place by.
    """

    delivery: Delivery
    receiver: Receiver
    seen: datetime
    failures: int = 0
    was_named: bool = False
    outcome: Outcome[bytes] | None = None
    is_running: bool = False
    is_told: bool = False
    entry: int = -1
    began: float = 0.0
    place: Standing = Standing.NEW


@final
class KnownJobs:
    """Jobs, by their deliveries and by the promises of these."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._jobs_of: dict[str, list[Job]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def has(self, delivery: str) -> bool:
        """Tell whether a delivery is known, by its id."""
        return delivery in self._jobs

    def add(self, delivery: Delivery, seen: datetime, *, was_named: bool) -> Job:
        """
        Return the job of a delivery that was not known.

        Args:
            delivery: The delivery.
            seen: When it was seen first.
            was_named: Whether the terms of its promise are known to name it.
        """
        job = Job(delivery, _receiver_of(delivery.to), seen, was_named=was_named)
        self._jobs[delivery.id] = job
        if delivery.of:
            self._jobs_of.setdefault(delivery.of, []).append(job)
        return job

    def of(self, promise: str) -> Sequence[Job]:
        """Return the jobs of a promise."""
        return self._jobs_of.get(promise, ())

    def discard(self, job: Job) -> None:
        """Forget a job."""
        self._jobs.pop(job.delivery.id, None)
        left = [each for each in self.of(job.delivery.of) if each is not job]
        if left:
            self._jobs_of[job.delivery.of] = left
        else:
            self._jobs_of.pop(job.delivery.of, None)


def _receiver_of(url: str) -> Receiver:
    """Return the receiver that a delivery says it is for."""
    try:
        parsed = parse_callback_url(url)
    except InvalidTermsError:
        return Receiver("", 0)
    return Receiver(parsed.host, parsed.port)
