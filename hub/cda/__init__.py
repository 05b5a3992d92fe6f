"""The reader of IHE_XDM archives and CDA documents, and the code tables.

Bytes come in, `hub.message` types go out. Foreign XML and zip files are read as data, within bounds, in memory only. A
doubt is a defect on the archive or on the document; no reader here raises, whatever the bytes.
"""

from hub.cda.codes import Codes
from hub.cda.document import looks_like_cda, read_cda
from hub.cda.xdm import looks_like_archive, read_archive

__all__ = ["Codes", "looks_like_archive", "looks_like_cda", "read_archive", "read_cda"]
