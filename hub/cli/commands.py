"""Every command of `hub`, in the order in which `hub --help` shows them."""

from __future__ import annotations

from hub.cli import (
    certs,
    check,
    contacts,
    database,
    demo,
    directory,
    explain,
    hosts,
    journal,
    keys,
    ledger,
    members,
    new_app,
    operator,
    release,
    send,
    sent,
    serve,
    show,
    start,
    status,
    usagers,
    users,
    web,
)

app = new_app()
for group in (
    *(start, check, serve, explain, show, release, send, sent, usagers, contacts, users, journal, keys, certs),
    *(status, ledger, operator, members, hosts, database, directory, web, demo),
):
    group.register(app)
