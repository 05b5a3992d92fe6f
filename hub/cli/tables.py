"""CSV files given to commands: reading one, and telling what became of it, by file and line."""

from __future__ import annotations

from pathlib import Path

import typer

from hub.errors import Misconfigured
from hub.records.contacts import BookImport


def read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file}:1 - cannot be read: {error.strerror}") from None


def tell_import(what: str, file: Path, result: BookImport, rehearsal: bool, ignored: int) -> None:
    """Ends the command with 1 when nothing was imported."""
    if result.problems:
        print(f"Rien n'a été importé : {len(result.problems)} problème(s).")
        for one in result.problems:
            print(f"  {file}:{one.line} {one.column} : {one.text}")
        raise typer.Exit(1)
    if ignored:
        print(f"{ignored} colonne(s) inconnue(s), non lue(s).")
    done = f"{result.added} ajouté(s), {result.changed} modifié(s), {result.unchanged} inchangé(s)"
    print(f"{what}, essai sans rien changer : {done}." if rehearsal else f"{what} : {done}.")
