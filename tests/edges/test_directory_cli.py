"""`hub directory`, as it is typed and read: columns that fit, plain French, exit codes; and the background of the
service."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from hub.cli.commands import app
from hub.settings import load_settings
from hub.trust.directory import Standings
from hub.wiring.directory import refresher_of
from hub.worker import freshness
from tests.directories import NAME, imported, organisation, person, text_of, zip_of
from tests.edges.pages import Page, pages

LINES = (
    person(),
    person("zoe@medecin.mssante.fr", family="TRÈS-LONG-NOM-DE-FAMILLE-DE-TRENTE-LETTRES", given="Zoé Marie Élisabeth"),
    organisation(house="MAISON D'ENFANTS À CARACTÈRE SOCIAL DES GRANDS CHÂTEAUX D'EAU", town="75011 PARIS CEDEX 11"),
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "hub.yaml").write_text("site: {name: Essai}\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    return tmp_path


def run(site: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["directory", *words, "--site", str(site)])


def loaded(site: Path) -> Path:
    imported(site / "trust", text_of(*LINES))
    return site


def test_what_is_found_fits_a_screen(site: Path) -> None:
    done = run(loaded(site), "find", "m")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert max(map(len, lines)) <= 100
    assert "    secretariat@mecs-exemple.mssante.fr" in lines
    assert lines[0].startswith("ORG MAISON D'ENFANTS À CARACTÈRE SOCIAL…  SECRÉTARIAT")


def test_words_kind_and_departement_narrow(site: Path) -> None:
    loaded(site)
    assert "lea.exemple@" in run(site, "find", "Exemple", "léa", "--kind", "per", "--department", "29").stdout
    assert run(site, "find", "exemple", "--kind", "ORG", "--department", "29").exit_code == 1
    assert "il y en a d'autres" in run(site, "find", "medecin", "--limit", "1").stdout
    wrong = run(site, "find", "x", "--kind", "BAL")
    assert (wrong.exit_code, type(wrong.exception).__name__) == (1, "Misconfigured")


def test_nothing_found_is_no_fault_of_the_address(site: Path) -> None:
    done = run(loaded(site), "find", "introuvable")
    assert done.exit_code == 1
    assert "n'est jamais publiée" in done.stdout.replace("\n", " ")
    done = run(site, "show", "hub@appli.mssante.fr")
    assert (done.exit_code, "n'est jamais publiée" in done.stdout.replace("\n", " ")) == (1, True)


def test_the_address_book_answers_beside_the_directory(site: Path) -> None:
    loaded(site)
    told = ("--type", "APP", "--organisation", "Département fictif", "--service", "ASE", "--departement", "29")
    added = CliRunner().invoke(app, ["contacts", "add", "ase@departement.mssante.fr", *told, "--site", str(site)])
    assert added.exit_code == 0, added.output
    done = run(site, "find", "ase", "departement", "--department", "29")
    assert (done.exit_code, "    ase@departement.mssante.fr" in done.stdout.splitlines()) == (0, True)
    assert run(site, "find", "ase", "--kind", "PER").exit_code == 1
    shown = run(site, "show", "ase@departement.mssante.fr").stdout
    assert "carnet d'adresses du site" in shown
    ended = ["contacts", "end", "ase@departement.mssante.fr", "--until", "2026-01-31", "--site", str(site)]
    assert CliRunner().invoke(app, ended).exit_code == 0
    assert "ne sert plus depuis le 01/02/2026" in run(site, "show", "ase@departement.mssante.fr").stdout


def test_an_address_is_shown_whole_with_since_when_it_left(site: Path) -> None:
    others = [organisation(f"b{number}@x.mssante.fr") for number in range(20)]
    imported(site / "trust", text_of(person(), *others))
    imported(site / "trust", text_of(*others), "Extraction_Correspondance_MSSante_202611260600.txt")
    done = run(site, "show", "LEA.exemple@medecin.mssante.fr")
    assert done.exit_code == 0
    for words in ("DR Léa EXEMPLE", "99900000001", "Médecin, Pédiatrie (SM)", "29200 BREST", "personne (PER)"):
        assert words in done.stdout
    assert "n'est plus dans l'annuaire depuis le 26/11/2026 (y était encore le 25/11/2026)" in done.stdout
    assert "n'est plus dans l'annuaire" in run(site, "find", "lea").stdout


def test_a_program_reads_json(site: Path) -> None:
    told = json.loads(run(loaded(site), "find", "lea", "--json").stdout)
    (entry,) = told["entries"]
    assert (entry["address"], entry["name"]) == ("lea.exemple@medecin.mssante.fr", "DR Léa EXEMPLE")
    assert (entry["activities"][0]["department"], told["is_whole"], told["away"]) == ("29", True, [])
    assert json.loads(run(site, "show", "lea.exemple@medecin.mssante.fr", "--json").stdout)["entries"] == [entry]


def test_a_site_without_a_directory_is_told_what_to_do(site: Path) -> None:
    for words in (("find", "lea"), ("show", "a@b.fr")):
        done = run(site, *words)
        assert (done.exit_code, "hub directory refresh" in done.stdout) == (3, True)
    done = run(site, "status")
    assert (done.exit_code, "jamais été chargé" in done.stdout) == (0, True)
    done = run(site, "refresh")
    assert (done.exit_code, "extraction_url" in done.stdout) == (0, True)


def test_a_file_is_taken_by_hand_and_a_bad_one_is_not(site: Path) -> None:
    (site / NAME).write_bytes(text_of(*LINES))
    done = run(site, "refresh", "--file", str(site / NAME))
    assert (done.exit_code, "L'annuaire est à jour" in done.stdout) == (0, True)
    assert "3 (2 PER, 1 ORG)" in done.stdout
    (site / NAME).write_bytes(b"PK\x03\x04")
    done = run(site, "refresh", "--file", str(site / NAME))
    assert (done.exit_code, "L'ancien reste en service" in done.stdout.replace("\n", " ")) == (1, True)
    done = run(site, "status")
    assert (done.exit_code, "la mise à jour échoue" in done.stdout) == (1, True)
    assert run(site, "find", "lea").exit_code == 0
    assert run(site, "refresh", "--file", str(site / "absent.zip")).exit_code == 1


def test_a_publisher_that_is_away_is_told(site: Path) -> None:
    (site / "hub.yaml").write_text("directory: {extraction_url: 'http://127.0.0.1:1/'}\n", encoding="utf-8")
    done = run(site, "refresh")
    assert (done.exit_code, "ne répond pas" in done.stdout) == (3, True)
    done = run(site, "refresh", "--background")
    assert (done.exit_code, done.stdout) == (0, "")


def test_authorities_that_cannot_be_read_are_told(site: Path) -> None:
    for name, url in (
        ("extraction", "extraction_url: 'https://x.example/'"),
        ("api", "api_url: 'https://x.example/', api_key_file: k"),
    ):
        (site / "hub.yaml").write_text(f"directory: {{{url}, {name}_ca_file: absent.pem}}\n", encoding="utf-8")
        done = CliRunner().invoke(app, ["check", "--site", str(site)])
        assert "absent.pem:1" in done.stdout


@pytest.mark.parametrize("key", ["", "  ", "clé", "a\tb"])
def test_a_key_that_is_none_is_told(site: Path, key: str) -> None:
    (site / "hub.yaml").write_text("directory: {api_url: 'http://127.0.0.1:1/', api_key_file: cle}\n", encoding="utf-8")
    (site / "cle").write_text(f"{key}\nautre", encoding="utf-8")
    assert "cle:1 - the first line is no key" in CliRunner().invoke(app, ["check", "--site", str(site)]).stdout
    imported(site / "trust", text_of(*LINES))
    done = run(site, "find", "lea")
    assert (done.exit_code, "Sans réponse de « annuaire (API) »" in done.stdout) == (0, True)


def test_the_publisher_is_believed_on_the_word_of_igc_sante_or_of_a_public_authority(site: Path) -> None:
    (site / "hub.yaml").write_text("directory: {extraction_url: 'https://x.example/'}\n", encoding="utf-8")
    context = refresher_of(load_settings(site / "hub.yaml"))._fetcher._context
    assert context is not None
    subjects = [str(one["subject"]) for one in context.get_ca_certs()]
    assert sum("IGC-SANTE ELEMENTAIRE" in subject for subject in subjects) == 2
    assert context.verify_mode is ssl.CERT_REQUIRED


# --- in the background


async def test_the_service_lets_a_child_do_it_and_readers_take_it_up(site: Path) -> None:
    async with pages(lambda request: Page(zip_of(text_of(*LINES)))) as served:
        file = site / "hub.yaml"
        file.write_text(f"directory: {{extraction_url: '{served.url('/e')}'}}\n", encoding="utf-8")
        settings = load_settings(file)
        standings, stop = Standings(settings.directory, settings.data_dir / "trust"), asyncio.Event()
        task = asyncio.create_task(freshness.keep_fresh(lambda: standings.account() is None, file, 60, stop, 0.01))
        until = time.monotonic() + 60
        while standings.account() is None and time.monotonic() < until:  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.05)
        stop.set()
        await task
        account = standings.account()
    assert account is not None
    assert account.entries == 3
    assert {request.headers["user-agent"] for request in served.asked} == {"hub-mssante"}


async def test_a_child_that_dies_is_started_again_later_and_later(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[object] = []

    async def refresh(*_: object) -> int:
        started.append(1)
        return -9

    monkeypatch.setattr(freshness, "_refresh", refresh)
    monkeypatch.setattr(freshness, "LOOK_EVERY", 0.01)
    stop = asyncio.Event()
    task = asyncio.create_task(freshness.keep_fresh(lambda: True, site, 60, stop, 0.01))
    await asyncio.sleep(0.3)
    stop.set()
    await task
    assert len(started) == 1
    assert "ended with code -9" in caplog.text


async def test_a_child_that_takes_too_long_or_outlives_the_service_is_ended(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "sys", SimpleNamespace(executable="/bin/sleep"))

    async def start(*words: str, **_: object) -> asyncio.subprocess.Process:
        return await real(words[0], "60")

    real = asyncio.create_subprocess_exec
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    assert await freshness._refresh(site, 0.05, asyncio.Event()) == -9
    stop = asyncio.Event()
    stop.set()
    assert await freshness._refresh(site, 60, stop) == -9
