"""An extraction becomes a database, whole or not at all, whatever is wrong with it, and with little memory."""

from __future__ import annotations

import io
import sqlite3
import struct
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from bench.extraction import write_text, write_zip
from hub.directory import Wanted
from hub.trust.directory import ExtractionIndex
from hub.trust.directory.extraction import Refused
from tests.directories import HEADER, NAME, imported, organisation, person, text_of, zip_of

BOTH = (person(), organisation())


def addresses(folder: Path, words: str) -> list[str]:
    return [entry.address for entry in ExtractionIndex(folder).find_now(Wanted(text=words)).entries]


def refused(folder: Path, raw: bytes, name: str = NAME, **settings: object) -> str:
    with pytest.raises(Refused) as raised:
        imported(folder, raw, name, **settings)
    assert not (folder / "draft").exists()
    return raised.value.code


@pytest.mark.parametrize(
    "raw",
    [
        text_of(*BOTH),
        zip_of(text_of(*BOTH)),
        zip_of(text_of(*BOTH), f"dossier/{NAME}"),
        text_of(*BOTH).replace(b"\n", b"\r\n"),
        text_of(*BOTH).rstrip(b"\n"),
        b"\xef\xbb\xbf" + text_of(*BOTH),
        text_of(*BOTH, header=HEADER + " structure BAL"),
        text_of(*BOTH, header=HEADER.upper()),
        text_of(*BOTH, "", ""),
    ],
    ids=("txt", "zip", "in a folder", "CRLF", "no last end", "BOM", "ending", "capitals", "empty lines"),
)
def test_an_extraction_is_taken_as_it_is_published(tmp_path: Path, raw: bytes) -> None:
    account = imported(tmp_path, raw)
    assert (account.lines, account.entries, account.kinds, account.broken) == (2, 2, {"PER": 1, "ORG": 1}, {})
    assert (account.name, account.at.isoformat()) == (NAME, "2026-11-25T05:00:00+00:00")
    assert addresses(tmp_path, "exemple lea") == ["lea.exemple@medecin.mssante.fr"]


def test_a_file_whose_name_has_no_date_is_of_now(tmp_path: Path) -> None:
    assert imported(tmp_path, text_of(*BOTH), "annuaire.txt").at.isoformat() == "2026-11-26T06:00:00+00:00"


def test_lines_of_one_address_are_one_entry_with_several_activities(tmp_path: Path) -> None:
    mail = "lea.exemple@medecin.mssante.fr"
    second = person("Lea.Exemple@MEDECIN.mssante.fr", house="CENTRE DU QUAI", skill="Psychiatrie (SM)")
    account = imported(tmp_path, text_of(person(mail), organisation(), second, person(mail), second))
    assert (account.lines, account.entries) == (5, 2)
    for words in ("pediatrie quai", "psychiatrie lea", "exemple lea"):
        assert addresses(tmp_path, words) == [mail]
    entry = ExtractionIndex(tmp_path).at_now(mail.upper())
    assert entry is not None
    assert [activity.organisation for activity in entry.activities] == ["", "CENTRE DU QUAI"]


def test_an_address_that_is_repeated_without_end_costs_no_time_without_end(tmp_path: Path) -> None:
    lines = [person(house=f"CENTRE {number}") for number in range(3000)]
    account = imported(tmp_path, text_of(*lines), broken_most=1)
    assert (account.entries, account.broken) == (1, {"repeated": 2950})
    assert refused(tmp_path, text_of(*lines)) == "bad-lines"


def test_broken_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = [organisation(f"boite{number}@x.mssante.fr") for number in range(95)]
    broken: list[str | bytes] = [
        "PER|trop|court",
        organisation() + "|de trop",
        organisation().encode("utf-8").replace("É".encode(), b"\xc9"),
        organisation("pas une adresse"),
        organisation(kind="???"),
    ]
    account = imported(tmp_path, text_of(*lines, *broken), broken_most=0.05)
    assert account.broken == {"columns": 2, "utf-8": 1, "address": 1, "type": 1}
    assert account.lines == 95
    assert refused(tmp_path / "other", text_of(*lines, *broken), broken_most=0.04) == "bad-lines"


def test_control_characters_never_reach_a_terminal(tmp_path: Path) -> None:
    imported(tmp_path, text_of(person(family="EX\x1b[31mEMPLE", given="L\u202eéa")))
    (entry,) = ExtractionIndex(tmp_path).find_now(Wanted(text="medecin")).entries
    assert entry.name.isprintable()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (text_of(*BOTH, header="PER|x"), "bad-header"),
        (b"", "bad-header"),
        (b"<html>trop de demandes</html>", "bad-header"),
        (text_of(*BOTH, b"\xff" * 100_000), "bad-lines"),
        (zip_of(text_of(*BOTH), autre=b"x"), "bad-zip"),
        (zip_of(text_of(*BOTH))[:-30], "bad-zip"),
        (b"PK\x03\x04" + b"x" * 100, "bad-zip"),
        (zip_of(text_of(organisation()) + b"x" * 60_000_000), "bad-size"),
        (zip_of(text_of(organisation()) + b"\n" * 40_000_000), "bad-size"),
    ],
    ids=("header", "empty", "html", "endless", "two members", "cut", "no zip", "too large", "bomb"),
)
def test_what_is_no_extraction_is_refused(tmp_path: Path, raw: bytes, code: str) -> None:
    assert refused(tmp_path, raw, unpacked_most="50MB") == code


def test_a_zip_that_was_altered_is_refused(tmp_path: Path) -> None:
    packed = bytearray(zip_of(text_of(*BOTH * 200)))
    packed[len(packed) // 3] ^= 0xFF
    assert refused(tmp_path, bytes(packed)) in ("bad-unreadable", "bad-zip", "bad-header", "bad-lines")


def test_a_zip_that_lies_about_its_size_or_its_members_or_is_encrypted_is_refused(tmp_path: Path) -> None:
    whole = zip_of(text_of(*BOTH * 50_000))
    listed = whole.rindex(b"PK\x01\x02")
    small = bytearray(whole)
    struct.pack_into("<L", small, listed + 24, 1000)  # says that it unpacks to 1,000 bytes
    assert refused(tmp_path / "small", bytes(small)) in ("bad-unreadable", "bad-zip")
    secret = bytearray(whole)
    struct.pack_into("<H", secret, listed + 8, 1)
    assert refused(tmp_path / "secret", bytes(secret)) == "bad-zip"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(3000):
            archive.writestr(f"{number}", b"")
    assert refused(tmp_path / "many", packed.getvalue()) == "bad-zip"
    lying = bytearray(packed.getvalue())
    struct.pack_into("<HH", lying, lying.rindex(b"PK\x05\x06") + 8, 1, 1)  # says that it has one
    assert refused(tmp_path / "lying", bytes(lying)) == "bad-zip"


def test_a_text_that_is_too_large_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, text_of(*BOTH * 20_000), unpacked_most="1MB") == "bad-size"


# --- from one extraction to the next


def day(number: int) -> str:
    return f"Extraction_Correspondance_MSSante_202611{number:02d}0600.txt"


def test_who_left_is_found_with_the_day_and_the_last_role_until_it_is_forgotten(tmp_path: Path) -> None:
    others = [organisation(f"boite{number}@x.mssante.fr") for number in range(20)]
    imported(tmp_path, text_of(person(), *others), day(1))
    account = imported(tmp_path, text_of(*others), day(3))
    assert (account.entries, account.gone) == (20, 1)
    imported(tmp_path, text_of(*others), day(9))
    (entry,) = ExtractionIndex(tmp_path).find_now(Wanted(text="lea exemple")).entries
    assert entry.gone_at is not None
    assert (entry.gone_at.day, entry.seen_at.day, entry.activities[0].profession) == (3, 1, "Médecin")
    assert imported(tmp_path, text_of(*others), day(25), remembered_for=timedelta(days=20)).gone == 0
    assert addresses(tmp_path, "lea exemple") == []


def test_who_comes_back_is_there(tmp_path: Path) -> None:
    others = [organisation(f"boite{number}@x.mssante.fr") for number in range(20)]
    for number, lines in ((1, (person(), *others)), (2, others), (3, (person(given="Léa-Marie"), *others))):
        account = imported(tmp_path, text_of(*lines), day(number))
    assert account.gone == 0
    entry = ExtractionIndex(tmp_path).at_now("lea.exemple@medecin.mssante.fr")
    assert entry is not None
    assert (entry.given, entry.gone_at) == ("Léa-Marie", None)


def test_an_extraction_that_shrank_is_refused_unless_somebody_says_that_it_is_right(tmp_path: Path) -> None:
    many = [organisation(f"boite{number}@x.mssante.fr") for number in range(100)]
    imported(tmp_path, text_of(*many), day(1))
    before = (tmp_path / "directory.db").read_bytes()
    assert refused(tmp_path, text_of(*many[:89]), day(2)) == "bad-shrunk"
    assert (tmp_path / "directory.db").read_bytes() == before
    assert imported(tmp_path, text_of(*many[:90]), day(2)).gone == 10
    assert imported(tmp_path, text_of(*many[:9]), day(3), accepts_smaller=True).gone == 91


@pytest.mark.parametrize("harm", ["other", "cut", "version"])
def test_a_former_database_that_is_damaged_hinders_nothing(tmp_path: Path, harm: str) -> None:
    imported(tmp_path, text_of(*BOTH), day(1))
    database = tmp_path / "directory.db"
    if harm == "other":
        database.write_bytes(b"no database at all " * 1000)
    elif harm == "cut":
        database.write_bytes(database.read_bytes()[:9000])
    else:
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE said SET value = '0' WHERE name = 'schema'")
        connection.close()
    assert imported(tmp_path, text_of(organisation()), day(2)).entries == 1


# --- the bound on memory


def test_the_memory_of_an_import_does_not_grow_with_the_extraction(tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 60_000):
        text = tmp_path / f"{count}.txt"
        write_text(text, count)
        write_zip(tmp_path / f"{count}.zip", text)
        peaks.append(_peak(tmp_path / f"{count}.zip", tmp_path / f"{count}.db"))
    assert peaks[1] < 150  # MB
    assert peaks[1] - peaks[0] < 45  # caches of a fixed size fill up


_CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from hub.settings import DirectorySettings
from hub.trust.directory.build import build
build(Path(sys.argv[1]), Path(sys.argv[2]), former=None, at=datetime.now(UTC), settings=DirectorySettings())
told = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(told["VmHWM"].split()[0]) // 1024)
"""


def _peak(extraction: Path, draft: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(extraction), str(draft)], check=True, capture_output=True, text=True
    )
    return int(done.stdout)
