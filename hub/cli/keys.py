"""`hub keys`: the key ring that seals what is kept at rest."""

from __future__ import annotations

import typer

from hub.cli.site import HERE, SiteOption, settings_of
from hub.trust.keys import KeyRing


def register(app: typer.Typer) -> None:
    keys = typer.Typer(help="Le trousseau qui chiffre ce qui est gardé.", no_args_is_help=True)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")


def rotate(site: SiteOption = HERE) -> None:
    """Ajoute une nouvelle clé : ce qui est écrit désormais l'utilise, ce qui existe reste lisible avec l'ancienne."""
    settings = settings_of(site)
    ring = KeyRing.rotate(settings.key_file)
    print(
        f"Nouvelle clé {ring.current_id} ajoutée à {settings.key_file}.\n"
        "Redémarrez « hub serve » pour l'utiliser, et refaites la copie de sauvegarde du trousseau."
    )
