"""The reader and the writer of IHE_XDM archives and CDA documents, and the code tables.

Bytes come in, `hub.message` types go out. Foreign XML and zip files are read as data, within bounds, in memory only. A
doubt is a defect on the archive or on the document; no reader here raises, whatever the bytes. The other way round,
`write_cda` and `write_archive` make the bytes of what `hub.cda.writing` describes, or raise `Unwritable` with every
reason: what is written, the reader reads back without a doubt.
"""

from hub.cda.archive_writer import ArchiveWritten, write_archive
from hub.cda.codes import Codes
from hub.cda.document import looks_like_cda, read_cda
from hub.cda.rules import Unwritable
from hub.cda.writer import write_cda
from hub.cda.xdm import looks_like_archive, read_archive

__all__ = [
    "ArchiveWritten",
    "Codes",
    "Unwritable",
    "looks_like_archive",
    "looks_like_cda",
    "read_archive",
    "read_cda",
    "write_archive",
    "write_cda",
]
