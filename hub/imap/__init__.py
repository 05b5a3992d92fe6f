"""The door in: mailboxes watched over IMAP; and the door out into their folder of sent mails.

`reader.Watcher` watches one mailbox; `fetcher` brings messages into blobs, `marking` marks or moves them, `backoff`
says how long to wait after a failure. `filer.ImapFiler` files copies of what was sent, over connections of its own, in
the folder that `cabinet` finds (`listing` reads what the server says of its folders), piece by piece (`literal`). Both
stand on the same ground: `opening.open_session` gives a TLS session, authenticated; `folder.Folder` is
what can be done in a selected folder; `session.Session` runs one command at a time, each under a deadline; `protocol`
is the only file that knows aioimaplib. Bytes from the wire are cut by `wire`, read by `grammar`, sealed and opened by
`tls`. Every failure is one of `failures`: a connection that met a deadline, a cap or a surprise is closed, never used
again.
"""
