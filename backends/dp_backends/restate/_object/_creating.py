"""Terms, given to a promise once: `create`."""

from __future__ import annotations

from restate import ObjectContext

from dp_backends.restate._invocations import RAW
from dp_backends.restate._object._deadline import call_at_deadline
from dp_backends.restate._object._settling import settle
from dp_backends.restate._object._stored import (
    TERMS,
    clock,
    created_text,
    read_key,
    refuse_callbacks,
)
from dp_backends.restate._object._telling import tell_info
from dp_backends.restate._object._virtual_object import checked, promises
from dp_core.backend import expiry
from dp_core.wire import read_terms

__all__ = ["create"]


@promises.handler("create", input_serde=RAW, output_serde=RAW)
async def create(ctx: ObjectContext, body: bytes) -> bytes:
    """Give the promise the terms that the body asks for, unless it has some."""
    with checked(ctx) as id:
        asked = read_terms(body)
        refuse_callbacks(asked)
        created = await read_key(ctx, TERMS)
        if created is None:
            moment = await clock(ctx)
            terms = asked.given_at(moment)
            created = created_text(id, terms, moment)
            ctx.set(TERMS, created, RAW)
            if terms.deadline is not None:
                call_at_deadline(ctx, terms.deadline, moment)
                if (over := expiry(terms, moment)) is not None:
                    # Nobody may come before its deadline.
                    await settle(ctx, over)
    return await tell_info(ctx, created)
