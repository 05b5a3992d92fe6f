"""The messages of the demo, and what the hub must make of each; the demo fails when the hub does otherwise.

`samples(now)` gives them in the order of their arrival. All dates follow `now`, all people are those of `people`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from hub.message import Identity, LocalId
from hub.sandbox import people
from hub.sandbox.archives import Fault, archive
from hub.sandbox.letters import Cover, attachment, bare, document_mail, forwarded, mail, mixed, text
from hub.sandbox.papers import DISCHARGE, LABORATORY_REPORT, SOCIAL, Paper, oid_of
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.people import ASE, HOSPITAL, LABORATORY, TILLEULS, Structure
from hub.sandbox.reports import absence, bounce, reading_receipt

MessageClass = Literal["dsn", "mdn", "auto_reply", "xdm", "document", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be read back when the hub is done.

    `filed_to` is a record number; `filing` what was done there (`none` is a first version); `receipt` the code of the
    MDN that arrives at the sender's, None for no MDN; `kind` is checked when it is given; `reasons` must be among the
    codes of the work list; `twin_of` is the key of the message that it repeats."""

    message_class: MessageClass
    state: Literal["DONE", "HELD"] = "DONE"
    filed_to: str | None = None
    filing: Literal["none", "replace", "delete"] = "none"
    receipt: int | None = None
    kind: str | None = None
    reasons: frozenset[str] = frozenset()
    twin_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message: a key, what it is in the words of the demo, its bytes, what is expected."""

    key: str
    what: str
    raw: bytes
    expected: Expected


def samples(now: datetime) -> tuple[Sample, ...]:
    """`now` knows its zone. The same `now` gives the same bytes."""
    moment = now.replace(microsecond=0)
    return (*_filed(moment), *_held_for_identity(moment), *_held_for_content(moment), *_noted(moment))


def _filed(now: datetime) -> Iterable[Sample]:
    """What the hub files by itself."""
    lina, yanis, eloise = people.LINA, people.YANIS, people.ELOISE
    letter = _discharge(lina.identity, "sortie-lina", now - timedelta(hours=5))
    first = document_mail("sortie-lina", [letter], sent_at=now)
    yield Sample(
        key="archive",
        what="Lettre de sortie de l'hôpital, usagère connue",
        raw=first,
        expected=Expected(message_class="xdm", filed_to=lina.record_number, receipt=0),
    )
    yield Sample(
        key="doublon",
        what="Le même message, reçu une seconde fois",
        raw=first,
        expected=Expected(message_class="xdm", filed_to=lina.record_number, twin_of="archive"),
    )
    yield Sample(
        key="transfert",
        what="Le même document, transféré par un collègue",
        raw=_forward("transfert", first, now),
        expected=Expected(message_class="xdm", filed_to=lina.record_number),
    )
    corrected = replace(letter, version=2, action="replace", title=f"{letter.title} (annule et remplace)")
    yield Sample(
        key="remplacement",
        what="Sa version 2, qui annule et remplace",
        raw=document_mail("sortie-lina-2", [corrected], sent_at=now),
        expected=Expected(message_class="xdm", filed_to=lina.record_number, filing="replace", receipt=0),
    )
    report = _laboratory(yanis.identity, "bilan-yanis", now - timedelta(hours=3))
    yield Sample(
        key="bilan",
        what="Résultats du laboratoire, usager connu",
        raw=document_mail("bilan-yanis", [report], sent_at=now),
        expected=Expected(message_class="xdm", filed_to=yanis.record_number, receipt=0),
    )
    yield Sample(
        key="suppression",
        what="Le laboratoire demande leur suppression",
        raw=document_mail("bilan-yanis-suppr", [replace(report, action="delete")], sent_at=now),
        expected=Expected(message_class="xdm", filed_to=yanis.record_number, filing="delete", receipt=0),
    )
    yield Sample(
        key="noms-tordus",
        what="Archive nommée « courrier.bin » et PDF accentué",
        raw=_oddly_named("noms-tordus", _discharge(_accented(eloise.identity), "sortie-eloise", now), now),
        expected=Expected(message_class="xdm", filed_to=eloise.record_number, receipt=0),
    )


def _held_for_identity(now: datetime) -> Iterable[Sample]:
    """Whose it is, is not certain: a human decides."""
    hugo, louise, noe, adam, tom = (
        who.identity for who in (people.HUGO, people.LOUISE, people.NOE, people.ADAM, people.TOM)
    )
    mixed_up = replace(louise, ins=hugo.ins)
    incomplete = replace(people.EMMA.identity, birth_date=None, sex=None, birth_place=None)
    wrong_key = replace(noe, ins=f"{(noe.ins or '')[:13]}{97 - int((noe.ins or '')[13:]):02d}")
    cases = (
        ("homonyme", "Homonyme née le même jour, autre INS", people.HOMONYM, 904, "ins-differs"),
        ("inconnu", "Enfant que l'établissement ne connaît pas", people.STRANGER, 902, "ins-unknown"),
        ("sans-ins", "Document sans INS", adam, 903, "no-ins"),
        ("jumeaux", "INS d'un jumeau, prénom de sa sœur", mixed_up, 904, "traits-differ"),
        ("incomplet", "INS sans date de naissance ni sexe", incomplete, 905, "traits-incomplete"),
        ("cle-fausse", "INS dont la clé est fausse", wrong_key, 904, "ins-differs"),
        ("non-qualifie", "Usager connu, INS pas encore qualifié", tom, 904, "not-qualified"),
    )
    for key, what, who, code, why in cases:
        paper = _social(who, key, now) if key == "sans-ins" else _discharge(who, key, now)
        expected = Expected(message_class="xdm", state="HELD", receipt=code, reasons=frozenset({str(code), why}))
        yield Sample(key=key, what=what, raw=document_mail(key, [paper], sent_at=now), expected=expected)


def _held_for_content(now: datetime) -> Iterable[Sample]:
    """It cannot be trusted, or does not say whose it is."""
    faults = (
        ("zip-abime", "Archive coupée pendant l'envoi", Fault.TRUNCATED, "bad-zip"),
        ("empreinte", "Document qui n'est pas celui annoncé", Fault.WRONG_HASH, "hash-differs"),
        ("bombe", "Archive piégée (bombe de décompression)", Fault.BOMB, "bomb"),
    )
    for key, what, fault, reason in faults:
        paper = _discharge(people.ZOE.identity, key, now)
        expected = Expected(message_class="xdm", state="HELD", receipt=906, reasons=frozenset({reason}))
        yield Sample(key=key, what=what, raw=document_mail(key, [paper], sent_at=now, fault=fault), expected=expected)
    yield Sample(
        key="navette",
        what="Fiche navette en PDF, sans archive",
        raw=_navette("navette", now),
        expected=Expected(
            message_class="document", state="HELD", kind="fiche_navette", reasons=frozenset({"903", "no-ins"})
        ),
    )
    yield Sample(
        key="simple",
        what="Message simple d'une éducatrice de l'ASE",
        raw=mail(_cover("simple", ASE, "Visite de jeudi", now), text("Bonjour,\n\nLa visite est déplacée à 16 h.\n")),
        expected=Expected(message_class="text", state="HELD"),
    )


def _noted(now: datetime) -> Iterable[Sample]:
    """Machines talking: noted or shown to a human, never filed, never answered."""
    earlier = f"<fiche-0001@{TILLEULS.address.rpartition('@')[2]}>"
    yield Sample(
        key="absence",
        what="Réponse automatique d'absence",
        raw=absence("absence", ASE, now),
        expected=Expected(message_class="auto_reply"),
    )
    yield Sample(
        key="non-remis",
        what="Avis de non-remise d'un envoi",
        raw=bounce("non-remis", HOSPITAL, "ancien.service@ch-trois-rivieres.mssante.example", earlier, now),
        expected=Expected(message_class="dsn", state="HELD", reasons=frozenset({"rule:envoi-non-remis"})),
    )
    subject = "XDM/1.0/DDM+Document du secteur social / médico-soci MARCHETERRE Lina 12/03/2014"
    yield Sample(
        key="accuse",
        what="Accusé de lecture, à l'objet trompeur",
        raw=reading_receipt("accuse", HOSPITAL, earlier, subject, now),
        expected=Expected(message_class="mdn"),
    )


def _discharge(who: Identity, name: str, created_at: datetime) -> Paper:
    return Paper(
        name=name,
        structure=HOSPITAL,
        patient=_numbered_by(HOSPITAL, who),
        type_code=DISCHARGE,
        title="Lettre de liaison à la sortie",
        lines=(
            "Centre hospitalier des Trois-Rivières (fictif) — Pédiatrie",
            f"Patient : {people.shown_name(who)}",
            "Hospitalisation de deux jours pour une crise d'asthme, évolution favorable.",
            "Traitement de sortie : bronchodilatateur à la demande, contrôle dans un mois.",
            "Docteur C. Saulnier (fictive)",
        ),
        created_at=created_at.replace(microsecond=0),
    )


def _laboratory(who: Identity, name: str, created_at: datetime) -> Paper:
    return Paper(
        name=name,
        structure=LABORATORY,
        patient=_numbered_by(LABORATORY, who),
        type_code=LABORATORY_REPORT,
        title="Compte rendu d'examens biologiques",
        lines=("Laboratoire Bellevue (fictif)", f"Patient : {people.shown_name(who)}", "Ferritine : 42 µg/L (normale)"),
        created_at=created_at.replace(microsecond=0),
    )


def _social(who: Identity, name: str, created_at: datetime) -> Paper:
    return Paper(
        name=name,
        structure=ASE,
        patient=_numbered_by(ASE, who),
        type_code=SOCIAL,
        title="Note de situation",
        lines=(
            "Aide sociale à l'enfance de Vallombre (fictive)",
            f"Enfant : {people.shown_name(who)}",
            "Point de rentrée.",
        ),
        created_at=created_at.replace(microsecond=0),
    )


def _numbered_by(structure: Structure, who: Identity) -> Identity:
    """With the number that this structure gives to the person, instead of the ESMS's own."""
    number = int.from_bytes(hashlib.sha256(f"{structure.national_id}/{who}".encode()).digest()[:3], "big")
    local = LocalId(oid_of(f"numbers of {structure.national_id}"), f"{number:08d}")
    return replace(who, local_ids=(local,))


def _accented(who: Identity) -> Identity:
    """The same traits as a hospital with accents on its keyboard writes them."""
    return replace(who, birth_name="D’Almeyrac", first_given="Éloïse", given_names="Éloïse")


def _cover(key: str, sender: Structure, subject: str, now: datetime) -> Cover:
    return Cover(key=key, sender=sender, subject=subject, sent_at=now)


def _forward(key: str, original: bytes, now: datetime) -> bytes:
    words = text("Pour information, je vous transfère ce courrier reçu ce matin.\n")
    return mail(_cover(key, ASE, "TR: courrier de l'hôpital", now), mixed(key, [words, forwarded(original)]))


def _oddly_named(key: str, paper: Paper, now: datetime) -> bytes:
    """No Content-Disposition anywhere, a generic type on the archive, an RFC 2231 name on the PDF twin."""
    cover = replace(_cover(key, HOSPITAL, "Courrier de sortie", now), receipt_to=HOSPITAL.address)
    parts = [
        text("Bonjour,\n\nCourrier ci-joint.\n"),
        bare("application/octet-stream", archive([paper]), name="courrier.bin"),
        bare("application/pdf", paper.pdf, name="L'été d'Éloïse.pdf"),
    ]
    return mail(cover, mixed(key, parts))


def _navette(key: str, now: datetime) -> bytes:
    form = one_page_pdf(
        "FICHE NAVETTE",
        (
            "Aide sociale à l'enfance de Vallombre (fictive)",
            "Enfant : Lina MARCHETERRE",
            "Demande formulée par : Amélie Brissac, éducatrice (fictive)",
            "Objet de la demande : séjour de vacances du 8 au 13 février, 420 euros",
            "Date de retour souhaitée : sous 10 jours",
            "Avis du référent ASE : accord, sous réserve du certificat médical",
            "Visa du cadre : en attente",
        ),
    )
    parts = [text("Bonjour,\n\nFiche navette ci-jointe.\n"), attachment("fiche navette.pdf", "application/pdf", form)]
    return mail(_cover(key, ASE, "Fiche navette", now), mixed(key, parts))
