"""Builds the directories of a site from its settings: who asks them, who keeps them fresh."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from hub.directory import Source
from hub.errors import Misconfigured
from hub.ports import Directory
from hub.settings import Settings
from hub.trust.authorities import igc_sante
from hub.trust.directory import DirectoryApi, ExtractionIndex, Refresher, Together
from hub.trust.fetching import Fetcher
from hub.wiring import now, password_of


def directory_of(settings: Settings, others: Mapping[Source, Directory] | None = None) -> Together:
    """Every directory of the site, asked as one: the `others` (its own address book), the extraction, the API if it is
    set. Raises Misconfigured (the authorities of the API)."""
    sources: dict[Source, Directory] = {**(others or {}), "extraction": ExtractionIndex(_folder(settings))}
    section = settings.directory
    if section.api_url is not None:
        fetcher = Fetcher(settings.fetching, _context(section.api_url, section.api_ca_file))
        sources["api"] = DirectoryApi(
            section, settings.fetching, _folder(settings), fetcher, lambda: api_key_of(settings), now
        )
    return Together(sources)


def refresher_of(settings: Settings) -> Refresher:
    """Raises Misconfigured (the authorities of the extraction's server)."""
    section = settings.directory
    # The publisher's server shows a certificate of IGC-Santé (mssante.md §10.3), its mirrors public ones.
    context = _context(section.extraction_url or "", section.extraction_ca_file)
    if context is not None and section.extraction_ca_file is None:
        context.load_verify_locations(cadata=b"".join(igc_sante().known))
    return Refresher(section, settings.fetching, _folder(settings), Fetcher(settings.fetching, context), now)


def api_key_of(settings: Settings) -> str:
    """Raises Misconfigured when the file holds none that can stand in a header."""
    file = settings.directory.api_key_file
    key = password_of(file).strip()
    if not (key and key.isascii() and key.isprintable()):
        raise Misconfigured(f"{file}:1 - the first line is no key: letters and digits without accents are expected")
    return key


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "trust"


def _context(url: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """Who is believed behind an https URL: the authorities of `ca_file`, or those of the system."""
    if not url.startswith("https://"):
        return None
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"{ca_file}:1 - the authorities cannot be read: {type(error).__name__}") from None
