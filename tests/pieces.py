"""Makes pieces for tests of the writer: people and structures who do not exist, PDF of several makers, the fonts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

from hub import ins
from hub.cda import Codes
from hub.cda.writing import (
    SOCIAL_DOCUMENT,
    Address,
    FormBody,
    Guardian,
    Items,
    Lot,
    Observation,
    Paragraph,
    PdfBody,
    Piece,
    Product,
    Professional,
    Recipient,
    Section,
    Software,
    Structure,
    Table,
    internal_id,
)
from hub.compose.letter import Letterhead
from hub.message import Coded, Identity, LocalId, Usager
from hub.pdf import Fact, Paper, Typefaces, write_paper
from hub.pdf.paper import Words
from tests.conftest import PROJECT_ROOT, missing

AT = datetime(2026, 11, 25, 18, 30, 5, tzinfo=timezone(timedelta(hours=1)))
CODES = Codes.from_tables({f.name: f.read_text("utf-8") for f in (PROJECT_ROOT / "config/codes").glob("*.csv")})
_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")

MECS = Structure(
    name="MECS Les Érables & Cie (fictive)",
    national_id="1990000029",
    internal_ids=(LocalId("2.25.808", "unité <B>"),),
    address=Address(street="3 rue de l'Essai", complement="Bât. B", postal_code="38999", city="VALLOMBRE"),
    telecoms=("tel:0499000000", "mailto:accueil@erables.example"),
)
ASE = Structure(name="ASE de Vallombre (fictive)", national_id="2990000037", address_is_secret=True)
EDUCATOR = Professional(
    family="BRISSAC",
    given="Amélie",
    national_id=internal_id("990000029", "12"),
    role=Coded("326", "1.2.250.1.213.1.6.1.107"),
    structure=MECS,
    prefix="MME",
)
OFFICER = Professional(
    family="GARNAULT",
    given="Sylvie",
    national_id="4990000037/27",
    role=Coded("41", "1.2.250.1.213.1.6.1.4"),
    structure=ASE,
)
DUI = Software(name="EssaiDUI", maker="Éditeur fictif", national_id=internal_id("990000029", "1"), structure=MECS)
LOT = Lot(unique_id="2.25.4242", sent_at=AT, sender=EDUCATOR, product=Product(version="1", maker="essai"))
LETTERHEAD = Letterhead(
    address="dossiers@erables.mssante.example",
    display_name="MECS Les Érables",
    product_reference="HUB001",
    reporting_ua="erables.mssante.example; hub",
)


def with_key(body: str) -> str:
    return f"{body}{ins.key_of(body):02d}"


LEA = Usager(
    id="usager-1",
    record_number="1234",
    ins_status="qualifiee",
    identity=Identity(
        ins=with_key("2120538001001"),
        oid=ins.NIR,
        local_ids=(LocalId("2.25.77", "D-1234"),),
        birth_name="d'Essai-Élu",
        first_given="Léa",
        given_names="Léa Marie",
        used_name="Martin",
        used_given="Léa",
        birth_date="2012-05-31",
        sex="F",
        birth_place="38185",
    ),
)
SECTIONS = (
    Section(
        title="Motif de la navette",
        code=Coded("28653-4", "2.16.840.1.113883.6.1"),
        blocks=(
            Paragraph("Première ligne <1>\nseconde ligne"),
            Items(("transport", "visite & retour")),
            Table(("Jour", "Fait"), (("lundi", "vue"), ("mardi", ""))),
        ),
        entries=(
            Observation(code=Coded("urgent", "2.25.5", "Urgent"), value=True, at=AT),
            Observation(code=Coded("lieu", "2.25.5", "Lieu"), value="école <é>"),
            Observation(code=Coded("nombre", "2.25.5", "Nombre"), value=3),
            Observation(code=Coded("jour", "2.25.5", "Jour"), value=AT),
            Observation(code=Coded("choix", "2.25.5", "Choix"), value=Coded("a", "2.25.5", "A")),
        ),
    ),
    Section(title="Suites", blocks=(Paragraph("Néant"),)),
)


def piece(**changes: Any) -> Piece:
    """A fiche navette around a PDF/A; any field can be given."""
    fields: dict[str, Any] = {
        "kind": "fiche_navette",
        "type_code": SOCIAL_DOCUMENT,
        "title": "Fiche navette : transport <mercredi> & jeudi",
        "body": PdfBody(MINIMAL_PDF),
        "created_at": AT,
        "unique_id": "2.25.1001",
        "set_id": "2.25.1000",
        "usager": LEA,
        "authors": (EDUCATOR,),
    }
    return Piece(**(fields | changes))


def form(pdf: bytes = b"") -> FormBody:
    return FormBody(sections=SECTIONS, model="2.25.909", pdf=pdf)


GUARDIANS = (
    Guardian(family="ESSAI", given="Jeanne", address=Address(street="1 rue", city="VALLOMBRE"), telecoms=("tel:0400",)),
    Guardian(organisation="ASE de Vallombre (fictive)", organisation_id="2990000037", address_is_secret=True),
)
RECIPIENTS = (Recipient(structure=ASE), Recipient(person=OFFICER))

# A PDF in outline, for what never opens it; it claims PDF/A as real ones do.
MINIMAL_PDF = (
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
    b"<pdfaid:part>1</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>\n%%EOF\n"
)


def faces() -> Typefaces:
    """DejaVu of Debian (package fonts-dejavu-core)."""
    found = Typefaces(_DEJAVU / "DejaVuSans.ttf", _DEJAVU / "DejaVuSans-Bold.ttf")
    if not found.regular.is_file():
        missing("DejaVu fonts not found: apt-get install fonts-dejavu-core")
    return found


@cache
def archival_pdf() -> bytes:
    """A PDF/A-1b of the hub."""
    return write_paper(Paper(title="Essai", facts=(Fact("Type", "essai"),), blocks=(Words("Été"),)), faces(), AT)


@cache
def office_pdf() -> bytes:
    """As an office program makes it: fonts inside, no claim, a way to open, a transparency group on the page."""
    import io

    import fpdf
    import pikepdf

    sheet = fpdf.FPDF()
    sheet.add_font("Essai", "", faces().regular)
    sheet.add_page()
    sheet.set_font("Essai", size=12)
    sheet.cell(0, 10, "Compte rendu d'un enfant qui n'existe pas")
    sheet.set_creation_date(AT)
    with pikepdf.open(io.BytesIO(bytes(sheet.output()))) as pdf:
        page = pdf.pages[0].obj
        page["/Tabs"] = pikepdf.Name("/S")
        page["/Group"] = pikepdf.Dictionary(
            Type=pikepdf.Name("/Group"), S=pikepdf.Name("/Transparency"), CS=pikepdf.Name("/DeviceRGB")
        )
        written = io.BytesIO()
        pdf.save(written, static_id=True)
    return written.getvalue()
