"""A made-up extraction of the directory, as large as the real one (mssante.md §10.3): half a million lines, some 89 MB.

People, structures, numbers and addresses are invented (families of syllables; RPPS begin with 999, FINESS with 990);
what is common in the real file is common here: doctors, large towns, a few given names, hospitals with many mailboxes.
The same seed gives the same bytes. `queries` are what people would type, worst cases among them.
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hub.directory import folded
from hub.trust.directory.columns import NAMES

LINES, PERSONS = 535_928, 0.85
REPEATED = 169  # addresses that stand on a second line
NAME = "Extraction_Correspondance_MSSante_202611250600.txt"


def _each(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_SYLLABLES = _each("BA|BER|CHA|CHE|DRI|DU|FOU|GAR|GNA|LE|LO|MAR|MER|MON|NI|PAS|PEL|QUE|REN|ROU|SAN|TEL|TIN|VI|ZO|ER|AU")
_GIVEN = _each(
    "Marie|Pierre|Jean|Anne|Sophie|Paul|Julie|Camille|Thomas|Claire|Nicolas|Hélène|François|Élodie|Jean-Luc|Noémie|Zoé|"
    "Anaïs|Benoît|Chloé|Dominique|Émilie|Florence|Gaël|Inès|Jérôme|Karine|Léa|Mathilde|Nadège|Océane|Pauline|Quentin"
)
_PROFESSIONS = (
    *(("10", "Médecin", 30), ("60", "Infirmier", 28), ("70", "Masseur-Kinésithérapeute", 12), ("21", "Pharmacien", 9)),
    *(("40", "Chirurgien-Dentiste", 6), ("50", "Sage-Femme", 4), ("93", "Psychologue", 6), ("91", "Orthophoniste", 5)),
)
_SKILLS = ("Médecine Générale (SM)", "Pédiatrie (SM)", "Psychiatrie (SM)", "Cardiologie et maladies vasculaires (SM)")
_TOWNS = (
    *(("PARIS", "750", 14), ("MARSEILLE", "130", 7), ("LYON", "690", 6), ("TOULOUSE", "310", 5), ("NICE", "060", 4)),
    *(("NANTES", "440", 3), ("ST DENIS", "974", 2), ("BREST", "292", 2), ("AJACCIO", "200", 1)),
    ("L'ISLE D'ESPAGNAC", "163", 1),
)
_STREETS = _each("DES ACACIAS|DE LA REPUBLIQUE|DU MARECHAL|DE L'EGLISE|DES VIGNES|DU DOCTEUR MARTIN|VICTOR HUGO")
_UNITS = _each("SECRETARIAT|DIRECTION|INFIRMERIE|SERVICE EDUCATIF|PEDIATRIE|URGENCES|RADIOLOGIE|PMI|")
_HOUSES = _each("CENTRE HOSPITALIER|MECS|IME|EHPAD RESIDENCE|CLINIQUE|CONSEIL DEPARTEMENTAL|SESSAD|CMPP")
# One letter, very common words, common words that share no line, nothing at all.
WORST = _each(
    "m|a|e|9|me|MEDECIN PARIS|medecin|infirmier marseille|martin paris|centre hospitalier paris|"
    "medecin generale paris 75|rue de la republique|j p m|pa me ma|zzzzqqq|marie zzzqqq|de la|999|secretariat|"
    "sec paris 75|medecin marie|masseur-kinesitherapeute|l'isle d'espagnac|saint denis|xq jk|medecin infirmier"
)


def lines(count: int = LINES, seed: int = 1) -> Iterator[str]:
    """The header, then `count` lines."""
    chance = random.Random(seed)
    families = ["".join(chance.choices(_SYLLABLES, k=chance.choice((2, 2, 3)))) for _ in range(60_000)]
    families[:40] = [f"D'{families[n]}" if n % 2 else f"{families[n]}-{families[n + 50]}" for n in range(40)]
    towns = [town for town in _TOWNS for _ in range(town[2])]
    towns += [(f"{name}-LES-E", f"{chance.randrange(100, 960)}", 1) for name in families[60:1500]]
    professions = [profession for profession in _PROFESSIONS for _ in range(profession[2])]
    yield "|".join(NAMES)
    kept: list[str] = []
    for number in range(count - min(REPEATED, count // 4)):
        town, prefix, _ = chance.choice(towns) if number % 3 else chance.choice(towns[:45])
        code = f"{prefix}{number % 90 + 10}"
        street = f"|||{number % 180 + 1}||RUE|{chance.choice(_STREETS)}||{code} {town}|{code}||France"
        if chance.random() < PERSONS:
            line = _person(chance, number, families[int(chance.random() ** 2 * 60_000)], professions) + street
        else:
            line = _organisation(chance, number, families[number % 5_000], town) + street
        yield line
        if len(kept) < REPEATED and number % 7 == 0:
            kept.append(line)
    for line in kept[: min(REPEATED, count // 4)]:
        yield line.replace("|O|", "|N|").replace("(SM)", "(CEX)")


def _person(chance: random.Random, number: int, family: str, professions: list[tuple[str, str, int]]) -> str:
    given = chance.choice(_GIVEN)
    code, profession, _ = chance.choice(professions)
    skill = chance.choice(_SKILLS) if code == "10" else ""
    mail = f"{_plain(given)}.{_plain(family)}.{number}@{_plain(profession)}.mssante.fr"
    rpps = f"999{number:08d}"
    house = f"CABINET DU DR {family}" if number % 5 == 0 else ""
    place = f"SIRET|999{number:011d}" if house else "|"
    title, skilled = ("DR", f"SM54|{skill}") if skill else ("", "|")
    job = f"{title}|{family}|{given}|C|Civil|{code}|{profession}|{skilled}"
    return f"PER|{mail}|8|{rpps}|8{rpps}|{place}||{job}|O|{house}|"


def _organisation(chance: random.Random, number: int, family: str, town: str) -> str:
    unit, house = chance.choice(_UNITS), chance.choice(_HOUSES)
    mail = f"{_plain(unit) or 'contact'}.{number}@{_plain(house)}-{_plain(town)}.mssante.fr"
    return f"ORG|{mail}||||FINESS|990{number:06d}|{unit}||||||||||O|{house} {family} {town}|"


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in folded(text))


def write_text(path: Path, count: int = LINES) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines(count))


def write_zip(path: Path, text: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.write(text, NAME)


def queries(count: int, seed: int = 2) -> list[str]:
    """What people type: a name of the file with its accents, order and case changed, a place, a profession, a
    number."""
    chance = random.Random(seed)
    made: list[str] = []
    chosen = [line.split("|") for number, line in enumerate(lines(40_000)) if number and chance.random() < 0.2]
    for fields in chance.sample(chosen, min(count, len(chosen))):
        town = fields[27][6:]
        if fields[0] == "PER":
            shapes = (
                f"{fields[9]} {fields[10]}",
                f"{folded(fields[10])} {fields[9][:4].lower()}",
                f"{fields[9]} {town}",
                f"{fields[14]} {fields[9]} {fields[28][:2]}",
                fields[3],
                fields[1],
            )
            made.append(chance.choice(shapes))
        else:
            places = (fields[18], f"{fields[7]} {town}", fields[6], f"{fields[18].split()[0]} {fields[28]}")
            made.append(chance.choice(places))
    return made
