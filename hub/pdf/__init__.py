"""PDF for archives: does a PDF claim PDF/A, its conforming copy without loss, a text or form written as PDF/A-1b.

Bytes in, bytes out; pure but for the font files that `Typefaces` names (ADR 0013). A foreign PDF may be anything:
`archival` belongs in a child process with limits, as the reader does (libs.md §6). Nothing here raises on bad content:
a PDF that cannot be converted is given back as it is, with the reason.
"""

from hub.pdf.archival import Archived, archival, claim
from hub.pdf.paper import Fact, Paper, Typefaces, write_paper

__all__ = ["Archived", "Fact", "Paper", "Typefaces", "archival", "claim", "write_paper"]
