"""The national directory of mailboxes (annuaire santé): its extraction, kept on our disk and searched there, and its
API.

`Refresher` keeps the extraction fresh, `ExtractionIndex` searches it, `DirectoryApi` asks the API behind the same
interface (`hub.ports.Directory`), `Together` asks several directories as one. `Standings` says how all that is going.
An outage of the directory stops nothing (RH-87).
"""

from __future__ import annotations

from hub.trust.directory.api import DirectoryApi
from hub.trust.directory.build import Account
from hub.trust.directory.index import DirectoryAway, ExtractionIndex
from hub.trust.directory.refresh import Outcome, Refresher
from hub.trust.directory.standing import DirectoryStanding, Standings
from hub.trust.directory.together import Together

__all__ = [
    "Account",
    "DirectoryApi",
    "DirectoryAway",
    "DirectoryStanding",
    "ExtractionIndex",
    "Outcome",
    "Refresher",
    "Standings",
    "Together",
]
