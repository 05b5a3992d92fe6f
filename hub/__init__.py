"""The hub: an asynchronous MSSanté relay for French child protection.

   the trust space                            the hub                               the trust space
                          doors in          one truth         doors out
   an operator's mailbox ──▶ imap/reader ─┐              ┌─▶ smtp/client ──▶ operator ──▶ ASE, clinicians
   a secretary's program ──▶ smtp/server ─┼──▶  spool  ──┼─▶ records     ──▶ the usager's record
   (pages, DUI: next floors) ─────────────┘       ▲      └─▶ imap/filer  ──▶ the folder of sent mails
                                                  │
                                trip:  load → think → perform each step → record
                      think = parse → classify → match → plan      (pure: decides, touches nothing)

Hands touch the world and do not think (`imap`, `smtp`, `spool`, `records`, `trust`, `cell`). The mind thinks and
touches nothing (`parse`, `compose`, `routing`, `cda`, `receipts`, `smime`, `pdf`). The story is `trip.py`: read it
first; `deeds/` beside it does each step.
Beside it `reckoning` counts what became of everything, `alerts` says what whoever runs the hub must know, and `trial`
tries an operator, and certificates before their day.
Floors and contracts stand in `pyproject.toml`; words in `docs/glossary.md`.
"""

__version__ = "0.1.0"
