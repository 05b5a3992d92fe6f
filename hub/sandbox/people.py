"""The fictional world of the sandbox: one ESMS, its correspondents, its usagers. Nobody here exists.

The département of Vallombre, its MECS « Les Tilleuls », hospital and laboratory are inventions; national ids start
with `990…`, domains end in `.example` (RFC 2606), every INS stands under the test OID `1.2.250.1.213.1.4.10` and has
its right key. Among the usagers: two homonyms, a pair of twins, one whose INS is not yet qualified, one doubtful
identity, one born in Corsica (2A), names with an apostrophe or a hyphen. Names stand in capitals without accents, as
the INS service gives them (RNIV).
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace

from hub import ins
from hub.message import Coded, Identity, LocalId, Usager


@dataclass(frozen=True, slots=True)
class Person:
    """Who signs for a structure. `national_id` is the PS_IdNat: `8` + RPPS, `3` + FINESS/number, `4` + SIREN/number."""

    family: str
    given: str
    national_id: str
    role: Coded  # JDV_J01


@dataclass(frozen=True, slots=True)
class Postmaster:
    """Who writes an operator's notices."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Structure:
    """A structure and its mailbox. `national_id` is the Struct_IdNat (cda-xdm.md §3.6): `1` + FINESS, `2` + SIREN."""

    name: str
    national_id: str
    address: str
    sector: Coded  # JDV_J02
    setting: Coded  # JDV_J04
    activity: Coded  # JDV_J03
    author: Person


_SECTORS = "1.2.250.1.71.4.2.4"
_SETTINGS = "1.2.250.1.213.1.1.4.9"
_ACTIVITIES = "1.2.250.1.213.2.2"
_SPECIALTIES = "1.2.250.1.213.1.1.4.5"
_ESSMS = Coded("ESSMS", _SETTINGS, "Etablissement ou Service Social ou Médico-Social")

TILLEULS = Structure(
    "MECS Les Tilleuls (fictive)",
    "1990000029",
    "dossiers@mecs-les-tilleuls.mssante.example",
    Coded("SA20", _SECTORS, "Etablissement pour la protection de l'enfance"),
    _ESSMS,
    Coded("11", _ACTIVITIES, "Hébergement complet ou internat (non compris internat de semaine)"),
    Person("BRISSAC", "Amélie", "3990000029/12", Coded("326", "1.2.250.1.213.1.6.1.107", "Educateur spécialisé")),
)
ASE = Structure(
    "Aide sociale à l'enfance de Vallombre (fictive)",
    "2990000037",
    "ase@departement-vallombre.mssante.example",
    Coded("SA27", _SECTORS, "Collectivité territoriale"),
    _ESSMS,
    Coded("16", _ACTIVITIES, "Prestations sur le lieu de vie (non compris placement familial)"),
    Person("GARNAULT", "Sylvie", "4990000037/27", Coded("41", "1.2.250.1.213.1.6.1.4", "Assistant de service social")),
)
HOSPITAL = Structure(
    "Centre hospitalier des Trois-Rivières (fictif)",
    "1990000045",
    "pediatrie@ch-trois-rivieres.mssante.example",
    Coded("SA01", _SECTORS, "Etablissement public de santé"),
    Coded("ETABLISSEMENT", _SETTINGS, "Etablissement de santé"),
    Coded("07", _ACTIVITIES, "Consultations soins externes"),
    Person("SAULNIER", "Claire", "899900000016", Coded("G15_10/SM40", _SPECIALTIES, "Médecin - Pédiatrie (SM)")),
)
LABORATORY = Structure(
    "Laboratoire Bellevue (fictif)",
    "1990000052",
    "resultats@labo-bellevue.mssante.example",
    Coded("SA25", _SECTORS, "Laboratoire de biologie médicale"),
    Coded("AMBULATOIRE", _SETTINGS, "Ambulatoire"),
    Coded("26", _ACTIVITIES, "Analyses médicales biologiques"),
    Person(
        "KERMADEC",
        "Yves",
        "899900000024",
        Coded("G15_10/SM63", _SPECIALTIES, "Médecin - Biologie médicale option biologie générale (SM)"),
    ),
)
CORRESPONDENTS = (ASE, HOSPITAL, LABORATORY)
STRUCTURES = (TILLEULS, *CORRESPONDENTS)

POSTMASTER = Postmaster("Opérateur bac à sable (fictif)", "postmaster@bac-a-sable.mssante.example")
CLOSED_MAILBOX = "accueil@cmp-les-saules.mssante.example"  # the operator takes mail for it, then gives it back

# Who writes for the ESMS, from her own mail program.
SECRETARY, SECRETARY_LOGIN = "Nadège Corvol (fictive)", "secretariat"

LOCAL_AUTHORITY = "1.2.250.1.71.4.2.2"  # local ids of an ESMS: `3<FINESS>/<number>` (cda-xdm.md §4.2)


def make_ins(body: str) -> str:
    """The 15 characters of an INS from its first 13: its key is computed."""
    key = ins.key_of(body)
    if key is None:
        raise ValueError("an INS starts with 13 digits (2A and 2B aside)")
    return f"{body}{key:02d}"


def _usager(
    number: int,
    names: tuple[str, str, str],
    born: tuple[str, str, str],
    ins_body: str | None,
    status: str = "qualifiee",
    *,
    doubtful: bool = False,
) -> Usager:
    """`names`: birth name, all given names, used name or ""; `born`: date, sex, INSEE code of the place."""
    birth_name, given_names, used_name = names
    record_number = f"TIL-{number:04d}"
    identity = Identity(
        ins=make_ins(ins_body) if ins_body else None,
        oid=ins.TEST if ins_body else None,
        local_ids=(LocalId(LOCAL_AUTHORITY, f"3{TILLEULS.national_id[1:]}/{record_number}"),),
        birth_name=birth_name,
        first_given=given_names.split()[0],
        given_names=given_names,
        used_name=used_name or None,
        birth_date=born[0],
        sex=born[1],
        birth_place=born[2],
    )
    return Usager(
        id=record_number,
        identity=identity,
        ins_status=status,
        doubtful=doubtful,
        record_number=record_number,
        facility=TILLEULS.national_id[1:],
    )


LINA = _usager(101, ("MARCHETERRE", "LINA JEANNE", ""), ("2014-03-12", "F", "69383"), "2140369383901")
YANIS = _usager(102, ("BELLOCQ", "YANIS", ""), ("2012-05-31", "M", "42218"), "1120542218902")
TOM = _usager(103, ("LEROUVRAY", "TOM PAUL", ""), ("2013-11-02", "M", "38185"), "1131138185903", "recuperee")
HUGO = _usager(104, ("PETITJEAN", "HUGO", ""), ("2015-07-19", "M", "69266"), "1150769266904")
LOUISE = _usager(105, ("PETITJEAN", "LOUISE", ""), ("2015-07-19", "F", "69266"), "2150769266905")  # HUGO's twin
EMMA = _usager(106, ("MARTINOT", "EMMA", ""), ("2011-09-04", "F", "69123"), "2110969123906")
EMMA_BIS = _usager(107, ("MARTINOT", "EMMA", ""), ("2013-01-22", "F", "01053"), "2130101053907")  # EMMA's homonym
ELOISE = _usager(108, ("D'ALMEYRAC", "ELOISE", ""), ("2016-02-29", "F", "33063"), "2160233063908")
ZOE = _usager(109, ("GARCIN-LOPES", "ZOE MARIE", "GARCIN"), ("2010-12-24", "F", "2A004"), "210122A004909")
ADAM = _usager(110, ("ROUSSELIN", "ADAM", ""), ("2017-06-15", "M", "69387"), None, "provisoire")
NOE = _usager(111, ("LAMBERTIN", "NOE", ""), ("2025-09-08", "M", "69382"), "1250969382911", "validee")
INES = _usager(112, ("DUBOISSON", "INES", ""), ("2010-04-17", "F", "42187"), "2100442187912", doubtful=True)

USAGERS = (LINA, YANIS, TOM, HUGO, LOUISE, EMMA, EMMA_BIS, ELOISE, ZOE, ADAM, NOE, INES)

# A child that the ESMS does not know: a mistake of the sender, or a child whose admission is not yet written down.
STRANGER = Identity(
    ins=make_ins("1140669381921"),
    oid=ins.TEST,
    birth_name="VERDUGO",
    first_given="SACHA",
    given_names="SACHA",
    birth_date="2014-06-03",
    sex="M",
    birth_place="69381",
)
# Same names and birth date as LINA, born elsewhere, hence another INS: another child.
HOMONYM = replace(LINA.identity, ins=make_ins("2140326362931"), birth_place="26362", local_ids=())


def shown_name(identity: Identity) -> str:
    """`Lina MARCHETERRE`, for a page or a table."""
    return f"{(identity.first_given or '').title()} {identity.birth_name or ''}".strip()


_COLUMNS = (
    "numero_dossier",
    "nom_naissance",
    "prenom_naissance",
    "prenoms",
    "nom_utilise",
    "date_naissance",
    "sexe",
    "lieu_naissance",
    "ins",
    "oid",
    "statut_ins",
    "finess",
    "douteux",
)


def usagers_csv(usagers: tuple[Usager, ...] = USAGERS) -> bytes:
    """The export of the fictional DUI, in the form of `hub usagers import` (see `hub.records.usagers_csv`)."""
    text = io.StringIO()
    rows = csv.writer(text, delimiter=";", lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    for usager in usagers:
        who = usager.identity
        known = (usager.record_number, who.birth_name, who.first_given, who.given_names, who.used_name, who.birth_date)
        codes = (who.sex, who.birth_place, who.ins, who.oid, usager.ins_status, usager.facility)
        rows.writerow([*(value or "" for value in (*known, *codes)), "oui" if usager.doubtful else "non"])
    return text.getvalue().encode()
