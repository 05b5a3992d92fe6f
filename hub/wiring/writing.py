"""As whom each mailbox writes: the establishment, the author and the guardian of its documents, from the settings."""

from __future__ import annotations

from collections.abc import Callable

from hub import __version__
from hub.cda.writing import Address, Guardian, Product, Software, Structure, internal_id
from hub.compose import Discretion, Letterhead, WritingAs
from hub.pdf import Typefaces
from hub.settings import Mailbox, Settings, Site


def writing_of(
    settings: Settings, letterhead: Callable[[str | None], Letterhead | None]
) -> Callable[[str | None], WritingAs | None]:
    """Mailbox name -> as whom what is submitted there is written; None for an unknown mailbox."""
    made = {
        mailbox.name: _writing_as(settings, mailbox, head)
        for mailbox in settings.mailboxes
        if (head := letterhead(mailbox.name)) is not None
    }
    return lambda name: made.get(name) if name else None


def _writing_as(settings: Settings, mailbox: Mailbox, letterhead: Letterhead) -> WritingAs:
    site, sending = settings.site, settings.sending
    return WritingAs(
        letterhead=letterhead,
        author=_author(site),
        faces=Typefaces(regular=sending.font_file, bold=sending.bold_font_file),
        size_most=settings.message_most(mailbox),
        guardian=_guardian(site),
        product=Product(
            name=site.software.name,
            version=__version__,
            maker=site.software.maker or site.name,
            contact=mailbox.reply_to or mailbox.address,
        ),
        discretion=Discretion(sending.discretion),
        embeds_the_copy=sending.embeds_the_copy,
        asks_receipt=sending.asks_receipt,
        reply_to=mailbox.reply_to,
    )


def _author(site: Site) -> Software:
    software = site.software
    return Software(
        name=software.name,
        maker=software.maker or site.name,
        national_id=internal_id(site.finess, software.number),
        structure=_structure(site),
    )


def _structure(site: Site) -> Structure:
    address = site.address
    is_known = any((address.street, address.complement, address.postal_code, address.city))
    return Structure(
        name=site.name,
        national_id=f"1{site.finess}",
        address=Address(
            street=address.street,
            complement=address.complement,
            postal_code=address.postal_code,
            city=address.city,
        )
        if is_known
        else None,
        telecoms=site.telecoms,
        address_is_secret=site.address_is_secret,
    )


def _guardian(site: Site) -> Guardian | None:
    if not site.guardian.organisation:
        return None
    return Guardian(organisation=site.guardian.organisation, organisation_id=site.guardian.organisation_id)
