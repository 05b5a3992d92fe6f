"""The person whom a subject names: `DUPONT Jean 12/03/2012`, `Jean Dupont né le 12 mars 2012`,
`Rapport de situation - DUPONT MARTIN Léa (née le 1er mai 2012)`.

A line of text in, `Clue`s out: every reading of the words beside a date (which of them are the surname?), all of them
or none: a name is never cut, so that `DUPONT MARTIN Léa` is never read as `MARTIN Léa`. Capitals tell the surname when
only a part of the words has them. A name without a date finds candidates and nobody for certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.birthdates import DateFound, dates_in
from hub.message import Clue, Identity, comparable

LINE_MOST = 500  # characters of a subject
WORDS_MOST = 6  # of one name
READINGS_MOST = 60

# Words that stand before a name in a subject and are no part of it, compared forms.
_NO_NAME_WORDS = """
A ACCORD ACCUEIL ACCUSE ADMINISTRATEUR ADMISSION AED AEMO AIDE ANNEXE ANNUEL ANNUELLE APPEL ARRIVEE ASE ATTESTATION AU
AUDIENCE AUTORISATION AUX AVEC AVENANT AVIS AVOCAT BILAN BILANS BIOLOGIE BONJOUR CAF CALENDRIER CAMSP CE CENTRE
CERTIFICAT CES CETTE CH CHEZ CHU CIVI CJM CMP CMPP COLLEGE COMPLEMENT COMPTE COMPTE-RENDU COMPTE-RENDUS CONCERNANT
CONCERNE CONFIDENTIEL CONSEIL CONSULTATION CONTRAT CONVOCATION COPIE COUR COURRIER CPAM CR CRH CRIP CRO D'ACCUEIL
D'ACTIONS D'ADMISSION D'AUDIENCE D'ECHEANCE D'EVALUATION D'INCIDENT D'INFORMATION D'URGENCE DANS DATE DDN DEMANDE
DEPART DEPARTEMENT DEPARTEMENTAL DEROGATION DIPC DIRECTION DLU DOCTEUR DOCUMENT DOCUMENTS DOSSIER DR ECG ECHEANCE
ECHOGRAPHIE ECOLE EDUCATEUR EDUCATIF EDUCATIVE EDUCATRICE EEG EIG ELEVE EN ENFANT ENTRETIEN ENVOI ET EVALUATION
FACTURE FAMILLE FICHE FILLE FIN FOYER FRATRIE FRERE FUGUE FW FWD GARCON GREFFE HAD HDJ HOPITAL IME IMPORTANT INCIDENT
INFORMATION INFORMATIONS INSCRIPTION INTERNE IP IRM ITEP JEUNE JUGE JUGEMENT L L'ELEVE L'ENFANT L'USAGER LES LETTRE
LIAISON LYCEE M MA MADAME MAIRIE MAJ MAJEUR MATERNELLE MDPH MECS MEDICAL MEDICALE MERE MESURE MINEUR MINEURE MISE MLLE
MME MON MONSIEUR MR NAVETTE NE NEE NOM NOTE NOTIFICATION NOTRE NOUVEAU NOUVELLE OBJET OPP ORDONNANCE OU PAI PAR PARENT
PARENTS PARQUET PERE PERSONNALISE PIECE PIECES PJJ PLACEMENT PMI POUR PPA PPE PPS PREFECTURE PRENOM PRIMAIRE PROJET
PROTOCOLE PROVISOIRE PSY PSYCHOLOGIQUE PSYCHOLOGUE R RADIO RAPPEL RAPPORT RDV RE REF REFERENT REFERENTE RELANCE
RENDEZ-VOUS RENDU REPONSE REUNION SA SANTE SAVS SCANNER SCOLAIRE SCOLARITE SEJOUR SERVICE SESSAD SIGNALEMENT SITUATION
SMR SOCIAL SOCIALE SOEUR SOINS SON SORTIE SOUS SSR SUITE SUITES SUIVI SUR SYNTHESE TGI TJ TPE TR TRANSFERT
TRANSMISSION TRANSPORT TRIBUNAL UAPED UN UNE URGENCE URGENT USAGER VACANCES VERSION VISITE VISITES VOTRE VSM
"""
_NO_NAMES = frozenset(_NO_NAME_WORDS.split())
_PARTICLES = frozenset(
    ("AL", "BEN", "BIN", "D", "DA", "DE", "DEN", "DER", "DES", "DI", "DOS", "DU", "EL", "LA", "LE", "VAN", "VON")
)
_BORN = re.compile(
    r"(?:\bn[eé](?:e|\(e\)|\.e|·e)?[ \u00a0]+le|\bdate de naissance|\bd\.?d\.?n\.?)[ \u00a0]*:?[ \u00a0]*$",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[:;|,()\[\]/\\«»\"•+=–—]|[ \u00a0][-_][ \u00a0]|^-|-$")
_BESIDE = " \u00a0\t,;:.([-–—"
_WORD = re.compile(r"[^\W\d_]+(?:['’`\-\u2010\u2011.][^\W\d_]+)*\.?")
_TWO = 2


@dataclass(frozen=True, slots=True)
class _Name:
    """Words taken as a surname and given names. `is_clear`: capitals tell which are which."""

    surname: str
    given: str
    is_clear: bool


def persons(line: str, place: str) -> tuple[Clue, ...]:
    """Whom the line names. First one clue with every reading of the names beside dates, clear when it says `né le` or
    when capitals tell the surname. Then one, never clear, with the names that capitals alone give away."""
    text = line[:LINE_MOST]
    found = dates_in(text)
    born = [one for one in found if _BORN.search(text[: one.start])]
    dated: dict[Identity, bool] = {}
    for one in born or found:
        for name in _names_beside(text, one):
            for iso in one.readings:
                for identity in _identities(name, iso):
                    dated[identity] = dated.get(identity, False) or name.is_clear or bool(born)
    spoken_of = {(one.birth_name, one.first_given, one.given_names) for one in dated}
    undated = tuple(
        identity
        for identity in dict.fromkeys(one for name in _names_anywhere(text) for one in _identities(name, None))
        if (identity.birth_name, identity.first_given, identity.given_names) not in spoken_of
    )
    clues = (
        Clue(way="name", place=place, readings=tuple(dated)[:READINGS_MOST], is_clear=any(dated.values())),
        Clue(way="name", place=place, readings=undated[:READINGS_MOST], is_clear=False),
    )
    return tuple(clue for clue in clues if clue.readings)


def _names_beside(text: str, found: DateFound) -> list[_Name]:
    """The name right before the date, else the one right after it."""
    before = _BORN.sub("", text[: found.start]).rstrip(_BESIDE)
    words = _run(reversed(_ENDS.split(before)[-1].split()))[::-1]
    if len(words) < _TWO:
        words = _run(iter(_ENDS.split(text[found.end :].lstrip(_BESIDE + ")]"))[0].split()))
    return list(_splits(words))


def _names_anywhere(text: str) -> Iterator[_Name]:
    """Names that capitals give away, wherever they stand."""
    for segment in _ENDS.split(text):
        words: list[str] = []
        for word in [*segment.split(), ""]:
            if _is_name(word) and not (word.islower() and not _is_particle(word)):
                words.append(word)
                continue
            yield from (name for name in _splits(words) if name.is_clear)
            words = []


def _run(words: Iterable[str]) -> list[str]:
    """The words up to the first that is part of no name. After a capitalised word, one in small letters ends it."""
    taken: list[str] = []
    for word in words:
        is_small = word.islower() and not _is_particle(word)
        if not _is_name(word) or (is_small and taken and not taken[0].islower()):
            break
        taken.append(word)
    return taken


def _is_name(word: str) -> bool:
    return _WORD.fullmatch(word) is not None and (comparable(word.rstrip(".")) or "") not in _NO_NAMES


def _is_particle(word: str) -> bool:
    return (comparable(word) or "") in _PARTICLES or word[:2].lower() in ("d'", "d’", "l'", "l’")


def _splits(words: list[str]) -> Iterator[_Name]:
    """Every way to see a surname and given names in the words. A small particle in front may be no part of them."""
    if not _TWO <= len(words) <= WORDS_MOST:
        return
    told = _told_by_capitals(words)
    if told is not None:
        yield told
    else:
        for at in range(1, len(words)):
            first, last = " ".join(words[:at]), " ".join(words[at:])
            yield _Name(first, last, False)
            yield _Name(last, first, False)
    if words[0].islower() and _is_particle(words[0]) and (comparable(words[0]) or "") in _PARTICLES:
        yield from _splits(words[1:])
    elif words[0][:1].islower() and words[0][1:2] in ("'", "’"):
        yield from _splits([words[0][2:], *words[1:]])


def _told_by_capitals(words: list[str]) -> _Name | None:
    """`DUPONT Jean`, `Jean DUPONT`, `Jean de LA TOUR`: the part in capitals is the surname."""
    is_capital = [_is_capital(word) for word in words]
    if all(is_capital) or not any(is_capital):
        return None
    first, last = is_capital.index(True), len(words) - is_capital[::-1].index(True)
    while first > 0 and words[first - 1].islower() and _is_particle(words[first - 1]):
        first -= 1
    inner = (good or _is_particle(word) for good, word in zip(is_capital[first:last], words[first:last], strict=True))
    if not all(inner) or (first > 0 and last < len(words)):
        return None
    surname, given = " ".join(words[first:last]), " ".join((*words[:first], *words[last:]))
    return _Name(surname, given, True) if given else None


def _is_capital(word: str) -> bool:
    """`DUPONT`, `D'ORMESSON`, also `d'ORMESSON`; an initial says nothing."""
    bare = word[2:] if word[1:2] in ("'", "’") else word
    return len(bare) > 1 and bare.isupper()


def _identities(name: _Name, iso: str | None) -> Iterator[Identity]:
    """Several given names: all of them, or one that is written in two words."""
    if " " in name.given:
        yield Identity(birth_name=name.surname, given_names=name.given, birth_date=iso)
    yield Identity(birth_name=name.surname, first_given=name.given, birth_date=iso)
