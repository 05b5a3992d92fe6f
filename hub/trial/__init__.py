"""Tries an operator, step by step, with the very hands that work with it, and says in French what was found.

`Steps` collects what was tried; `try_imap`, `try_smtp` and `try_mail` try one thing each; `round_trip` sends one mail
from a mailbox to itself and brings it back; `rehearse` does so with certificates before their day. Nothing here changes
a setting, and the mail that was sent is taken away again; if it is not, the hub's own trip notes it as a letter of its
own and files nothing.
"""

from hub.trial.begin import try_own_certificate, try_settings
from hub.trial.going import Trying, find
from hub.trial.letter import Sent, plain_letter, signed_letter
from hub.trial.mail import try_mail
from hub.trial.reading import try_imap
from hub.trial.rehearsal import Scene, Stage, rehearse, with_next
from hub.trial.round_trip import Lost, Post, Returned, round_trip
from hub.trial.sending import try_smtp
from hub.trial.steps import Steps, Tried

__all__ = [
    "Lost",
    "Post",
    "Returned",
    "Scene",
    "Sent",
    "Stage",
    "Steps",
    "Tried",
    "Trying",
    "find",
    "plain_letter",
    "rehearse",
    "round_trip",
    "signed_letter",
    "try_imap",
    "try_mail",
    "try_own_certificate",
    "try_settings",
    "try_smtp",
    "with_next",
]
