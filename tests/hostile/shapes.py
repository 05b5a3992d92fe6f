"""Every named hostile shape."""

from __future__ import annotations

from tests.hostile.mime import MIME
from tests.hostile.pdfs import PDFS
from tests.hostile.shape import Shape
from tests.hostile.wrapped import WRAPPED
from tests.hostile.xmls import XMLS
from tests.hostile.zips import ZIPS

# What the project promises by name; the tests of every day have all of these, and a share of the others.
NAMED = frozenset(
    {
        *("mime-deep-multiparts", "mime-deep-mails", "mime-parts", "mime-words-in-subject", "mime-header-1mb"),
        *(
            "mime-header-never-ends",
            "mime-body-without-line-end",
            "mime-partial",
            "mime-boundary-missing",
            "mime-type-twice",
        ),
        *("zip-bomb-flat", "zip-nested-42", "zip-overlap", "zip-name-slip", "zip-link", "zip-twins", "zip-quine"),
        *("zip-size-less-than-real", "zip-entries-65536", "xml-xxe-file", "xml-xxe-http-in-archive", "xml-laughs"),
        *("xml-external-dtd", "xml-xinclude", "xml-doctype-alone-in-archive", "xml-xxe-http-in-metadata"),
        *("xml-text-of-40mb-loose", "xml-depth-100000", "pdf-stream-bomb", "pdf-stream-bomb-once", "pdf-javascript"),
        *("pdf-encrypted", "pdf-xref-loop", "pdf-objects-1000000", "pdf-image-bomb", "wrapped-tnef-values-1003"),
        *("wrapped-tnef-cut", "wrapped-tnef-nested", "wrapped-p7m-endless", "wrapped-mdn-nul", "wrapped-dsn-nul"),
    }
)

SHAPES: tuple[Shape, ...] = tuple(
    shape for collection in (MIME, ZIPS, XMLS, PDFS, WRAPPED) for shape in collection.shapes
)
