"""S/MIME: the signatures that we write, and what those of others are worth.

    opaque     what an `application/pkcs7-mime` part holds, taken out of its wrapping; read whatever its signature is
               worth, since a reader that shows nothing of a badly signed mail loses it
    verifying  one verdict with four parts (cms: the structure; quick: the same, of what nearly all write; chain: who
               vouches for it; revoked: what lists add; words: in French)
    signing    an entity becomes multipart/signed, its bytes never change again (fitness: may this certificate?)

Pure: keys, anchors and the time are arguments. What needs a library is imported where it is used: most mails are not
signed, and the reader's child starts without them.
"""

from hub.smime.opaque import Unwrapped, unwrap
from hub.smime.signing import NotCanonical, Signer, closing, opening, sign, why_not_canonical
from hub.smime.trusted import Trust

__all__ = [
    "NotCanonical",
    "Signer",
    "Trust",
    "Unwrapped",
    "closing",
    "opening",
    "sign",
    "unwrap",
    "why_not_canonical",
]
