"""Builds the submission door of a site: its desk, its listeners, its certificate, which is looked at now and then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from hub.errors import Misconfigured
from hub.parse.heading import read_heading
from hub.settings import Secret, Settings, Submitting
from hub.smtp.desk import Box, Limits, SubmissionDesk
from hub.smtp.listening import Listener, SubmissionDoor
from hub.trust.files import stamp_of
from hub.trust.tls import server_context, show_anew
from hub.wiring import House, limits_of, now
from hub.wiring.rulebook import roles_of

log = logging.getLogger("hub.door")

LOOK_EVERY = 60.0  # seconds between two looks at the certificate's files


async def keep_open(house: House, on_accepted: Callable[[str], Awaitable[None]], stop: asyncio.Event) -> None:
    """Keep the door open until `stop`, then close it in good order; nothing when none is set. `on_accepted` gives the
    hint. Raises Misconfigured: a certificate or an address that cannot be used."""
    submitting = house.settings.submission
    if submitting.certificate is None:
        return
    context = server_context(submitting.certificate)
    door = SubmissionDoor(make_desk(house, on_accepted), listeners(submitting), name_of(submitting), context)
    await door.open()
    log.info("submission door open on %s", submitting.host)
    watching = asyncio.create_task(house.members.watch(stop))  # a process that carries nothing has no rulebook
    try:
        await _renewing(context, submitting.certificate, stop)
    finally:
        watching.cancel()
        await door.close(submitting.stop_within)


def make_desk(house: House, on_accepted: Callable[[str], Awaitable[None]]) -> SubmissionDesk:
    settings, limits = house.settings, limits_of(house.settings)
    roles = roles_of(settings)
    return SubmissionDesk(
        users=house.users,
        spool=house.spool,
        boxes=boxes(settings),
        heading=lambda head: read_heading(head, limits),
        is_member=lambda address: house.is_of_the_space(address) or roles.asked(address) is not None,
        on_accepted=on_accepted,
        limits=desk_limits(settings),
        clock=now,
    )


def boxes(settings: Settings) -> tuple[Box, ...]:
    return tuple(Box(name=one.name, address=one.address, test=one.test) for one in settings.mailboxes)


def desk_limits(settings: Settings) -> Limits:
    submitting = settings.submission
    return Limits(
        message_most=submitting.message_most,
        header_block=settings.reading.header_block,
        recipients_most=submitting.recipients_most,
        sessions_most=submitting.sessions_most,
        sessions_each=submitting.sessions_each,
        login_within=submitting.login_within,
        silence_most=submitting.silence_most,
        piece_within=submitting.piece_within,
        message_within=submitting.message_within,
        failures_each=submitting.failures_each,
        messages_a_minute=submitting.messages_a_minute,
        messages_an_hour=submitting.messages_an_hour,
        bytes_an_hour=submitting.bytes_an_hour,
    )


def listeners(submitting: Submitting) -> tuple[Listener, ...]:
    opened = []
    if submitting.port is not None:
        opened.append(Listener(submitting.host, submitting.port, "starttls"))
    if submitting.implicit_port is not None:
        opened.append(Listener(submitting.host, submitting.implicit_port, "implicit"))
    return tuple(opened)


def name_of(submitting: Submitting) -> str:
    return submitting.name or socket.getfqdn()


async def _renewing(context: ssl.SSLContext, certificate: Secret, stop: asyncio.Event) -> None:
    """Until `stop`: take up a certificate whose files changed. One that cannot be used is told; the former stays."""
    seen = stamp_of(certificate)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY)
        found = await asyncio.to_thread(stamp_of, certificate)
        if found == seen:
            continue
        seen = found
        try:
            await asyncio.to_thread(show_anew, context, certificate)
            log.info("submission door: the renewed certificate is in use")
        except Misconfigured as error:
            log.error("submission door: the renewed certificate cannot be used: %s", error.private)
