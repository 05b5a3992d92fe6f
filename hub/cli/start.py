"""`hub init`: makes the folder of a site: settings, rules, the key that seals what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub import migrations
from hub.cli.site import settings_of
from hub.database import Database
from hub.errors import Misconfigured
from hub.settings import default_config_dir
from hub.spool.marker import belong
from hub.trust.keys import KeyRing

STARTER = """\
# Réglages de ce site. Seules les différences avec les valeurs par défaut figurent ici ;
# toutes les valeurs, avec leur raison, sont dans {reference}
site:
  name: "Mon établissement"
  finess: ""
  product_reference: ""      # X-MSS-NIL : la référence produit remise par la plate-forme Convergence (ECO.2.4.3)

# La liste blanche (domaines de l'espace de confiance), telle que l'ANS la publie ; « hub members » la montre.
members:
  url: "https://espacedeconfiance.mssante.fr/listeblanchemssante.xml"

# L'annuaire des boîtes MSSanté, relu une fois par jour (null : ne pas le télécharger).
directory:
  extraction_url: "{extraction}"

# operators:
#   - name: operateur
#     # known_as: mailiz        # ce que le hub sait de cet opérateur (aussi : medimail, motco2)
#     # Sans les deux lignes qui suivent, ses serveurs sont trouvés par le DNS ; essai : hub operator test secretariat
#     imap: {{host: imap.operateur.mssante.fr, port: 143, tls: starttls}}
#     smtp: {{host: smtp.operateur.mssante.fr, port: 587, tls: starttls}}
#     ca_file: keys/igc-sante.pem
#     certificate: {{file: keys/org-auth-cli.p12, password_file: keys/org-auth-cli.password}}
#     sasl: external
#
# mailboxes:
#   - name: secretariat
#     address: secretariat@mon-etablissement.mssante.fr
#     operator: operateur
#     display_name: "Mon établissement - Secrétariat"
"""


# Where the extraction of the directory is published (mssante.md §10.3).
EXTRACTION = (
    "https://service.annuaire.sante.fr/annuaire-sante-webservices/V300/services/extraction/"
    "Extraction_Correspondance_MSSante"
)


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Le dossier à créer ou à compléter.")] = Path("."),
) -> None:
    """Prépare le dossier d'un site : réglages, règles, clé de chiffrement, base vide."""
    (folder / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [
        _write_once(folder / "hub.yaml", _starter()),
        _write_once(folder / "routes.yaml", (default_config_dir() / "routes.yaml").read_text(encoding="utf-8")),
    ]
    settings = settings_of(folder)
    if not settings.key_file.exists():
        KeyRing.create(settings.key_file)
        made.append(str(settings.key_file))
    database = Database(settings.database_url)
    try:
        migrations.upgrade(database)
        belong(database, KeyRing.load(settings.key_file), settings.data_dir / "blobs")
    finally:
        database.close()
    for name in filter(None, made):
        print(f"créé : {name}")
    print(
        "\nLe site est prêt à être réglé.\n"
        f"  1. Gardez une copie de {settings.key_file} en lieu sûr : sans elle, plus rien n'est lisible.\n"
        f"  2. Complétez {folder / 'hub.yaml'} (référence produit, opérateur, boîtes aux lettres).\n"
        f"  3. Importez les usagers : hub usagers import FICHIER.csv --site {folder}\n"
        f"  4. Vérifiez : hub check --site {folder}     puis lancez : hub serve --site {folder}"
    )


def _starter() -> str:
    return STARTER.format(reference=default_config_dir() / "hub.yaml", extraction=EXTRACTION)


def _write_once(file: Path, text: str) -> str:
    """The name of the file when it was made, "" when it was already there (a site is never overwritten)."""
    if file.exists():
        return ""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{file}:1 - cannot be written: {error.strerror}") from None
    return str(file)
