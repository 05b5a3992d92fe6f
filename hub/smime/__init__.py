"""S/MIME. In this issue: what an opaque `application/pkcs7-mime` part holds, taken out of its wrapping.

In: the decoded bytes of the part. Out: the inner MIME entity, or why there is none. Nothing is verified here: who
signed, and whether the signature is right, is said by a later issue; the content is read either way, since a reader
that shows nothing of a badly signed mail loses it.
"""

from hub.smime.opaque import Unwrapped, unwrap

__all__ = ["Unwrapped", "unwrap"]
