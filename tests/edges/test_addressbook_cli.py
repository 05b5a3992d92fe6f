"""The commands of the address book, as the person who keeps it types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli.commands import app
from hub.cli.start import init
from hub.sandbox.people import LINA, USAGERS, usagers_csv

GARNIER, LOPEZ = (f"{name}@ase-exemple.mssante.fr" for name in ("garnier", "lopez"))
NUMBER = LINA.record_number or ""
SETTINGS = """\
site: {name: "MECS d'essai", product_reference: ESSAI1}
deciding: {member_domains: [ase-exemple.mssante.fr]}
"""


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def said(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words, "--site", str(self.folder)], env={"COLUMNS": "200"})
        assert done.exit_code == code, f"{words}: {done.output} {done.exception!r}"
        return done.output

    def refused(self, *words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--site", str(self.folder)], env={"COLUMNS": "200"})
        assert done.exit_code != 0
        return f"{done.output} {getattr(done.exception, 'public', '')}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "hub.yaml").write_text(SETTINGS, encoding="utf-8")
    init(tmp_path)
    (tmp_path / "usagers.csv").write_bytes(usagers_csv(USAGERS))
    made = Site(tmp_path)
    made.said("usagers", "import", str(tmp_path / "usagers.csv"))
    made.said("contacts", "add", GARNIER, "--type", "per", "--name", "Élise Garnier", "--departement", "38")
    made.said("contacts", "add", LOPEZ, "--type", "PER", "--name", "Ana Lopez")
    return made


def test_a_book_from_the_first_address_to_the_last(site: Site) -> None:
    assert GARNIER in site.said("contacts", "list")
    assert GARNIER in site.said("contacts", "find", "GARNIER", "elise")
    assert "Aucune adresse" in site.said("contacts", "find", "personne", code=1)
    assert "espace de confiance" in site.refused("contacts", "add", "x@exemple.com")
    assert "déjà dans le carnet" in site.refused("contacts", "add", GARNIER.upper())
    site.said("contacts", "change", GARNIER, "--service", "ASE territoire Nord", "--name", "")
    assert GARNIER in site.said("contacts", "find", "territoire", "nord")
    assert "Aucune adresse" in site.said("contacts", "find", "elise", code=1)
    site.said("contacts", "change", GARNIER, "--departement", "")
    assert "Aucune adresse" in site.said("contacts", "find", "garnier", "--departement", "38", code=1)
    assert "JJ/MM/AAAA" in site.refused("contacts", "change", GARNIER, "--since", "hier")


def test_what_is_exported_is_imported_again(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "carnet.csv"
    site.said("contacts", "change", LOPEZ, "--note", 'le "mardi"; sauf été', "--until", "31/12/2030")
    site.said("contacts", "export", "--to", str(file))
    before = site.said("contacts", "export")
    assert "0 ajouté(s), 0 modifié(s), 2 inchangé(s)" in site.said("contacts", "import", str(file))
    assert site.said("contacts", "export") == before
    file.write_text(file.read_text("utf-8-sig") + "x@exemple.com;PER;;;;;;;\r\n", "utf-8")
    assert f"{file}:4 adresse :" in site.said("contacts", "import", str(file), code=1)


def test_the_referent_of_a_child_from_one_to_the_next(site: Site) -> None:
    assert "ne dit pas qui tient" in site.said("usagers", "roles", NUMBER)
    site.said("usagers", "role", "set", NUMBER, "referent_ase", GARNIER, "--since", "01/03/2020")
    told = site.said("usagers", "role", "set", NUMBER, "referent_ase", LOPEZ, "--since", "2021-01-01")
    assert "31/12/2020" in told
    assert GARNIER in site.said("usagers", "roles", NUMBER, "--at", "31/12/2020")
    assert "référent ASE de l'usager, depuis le 01/01/2021" in site.said("usagers", "roles", NUMBER)
    assert "aucun usager" in site.refused("usagers", "roles", "inconnu").casefold()
    assert "connus :" in site.refused("usagers", "role", "set", NUMBER, "tonton", GARNIER)
    assert "pas dans le carnet" in site.refused(
        "usagers", "role", "set", NUMBER, "crip", "personne@ase-exemple.mssante.fr"
    )
    site.said("usagers", "role", "end", NUMBER, "referent_ase", LOPEZ, "--until", "31/12/2021")
    assert "jusqu" not in site.said("usagers", "roles", NUMBER, "--at", "01/06/2021")
    assert "Plus personne" in site.said("usagers", "roles", NUMBER)
    assert site.said("usagers", "roles", NUMBER, "--all").count(GARNIER) == 2


def test_who_leaves_hands_over(site: Site) -> None:
    site.said("usagers", "role", "set", NUMBER, "referent_ase", GARNIER, "--since", "01/03/2020")
    assert f"dossier {NUMBER}" in site.said("contacts", "end", GARNIER)
    assert "1 rôle(s)" in site.said("contacts", "hand-over", GARNIER, LOPEZ)
    assert LOPEZ in site.said("usagers", "roles", NUMBER)


def test_the_territory_of_a_child_gives_its_secretariat(site: Site) -> None:
    site.said("contacts", "role", "set", "secretariat_territoire", GARNIER, "--territory", "Vallée Nord")
    site.said("contacts", "role", "set", "crip", LOPEZ, "--since", "01/01/2020")
    assert "territoire Vallée Nord" in site.said("contacts", "roles")
    assert GARNIER not in site.said("usagers", "roles", NUMBER)
    site.said("usagers", "territory", NUMBER, "VALLEE  NORD")
    told = site.said("usagers", "roles", NUMBER)
    assert GARNIER in told
    assert "pour tout le site" in told
    site.said("contacts", "role", "end", "secretariat_territoire", GARNIER, "--territory", "vallée nord", "--mistake")
    assert GARNIER not in site.said("contacts", "roles")
    assert "repris par" in site.said("contacts", "roles", "--all")


def test_a_file_of_roles_is_rehearsed_then_taken_whole(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "roles.csv"
    file.write_text(f"numero_dossier;role;adresse;du;au\n{NUMBER};référent ASE;{GARNIER};01/03/2020;\n", "utf-8")
    assert "essai sans rien changer : 1 ajouté(s)" in site.said("usagers", "role", "import", str(file), "--dry-run")
    assert GARNIER not in site.said("usagers", "roles", NUMBER)
    site.said("usagers", "role", "import", str(file))
    assert GARNIER in site.said("usagers", "roles", NUMBER)
    file.write_text(file.read_text("utf-8") + f"inconnu;crip;{GARNIER};01/03/2020;\n", "utf-8")
    assert f"{file}:3 numero_dossier :" in site.said("usagers", "role", "import", str(file), code=1)
