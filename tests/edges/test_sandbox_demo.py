"""`hub demo` itself, whole, both ways: the real service on the fake operator, everything as expected, nothing left
running."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil


async def test_the_demo_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "demo", "--folder", str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        told, _ = await asyncio.wait_for(child.communicate(), 110)
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
    text = told.decode()
    assert child.returncode == 0, text
    assert "exactement comme attendu" in text
    for wanted in (
        "[dossier TIL-0101] [fiche navette]",  # what she wrote
        "CDA N1 « Fiche navette »",  # what the ASE got
        "valable : le message vient bien de son expéditeur",
        "dossier TIL-0107",  # the letter about the two homonyms
        "c'est le [dossier TIL-0106]",  # her answer
        "intégré au dossier du destinataire",  # the ladder
        "-> Vérifiez l'adresse dans l'annuaire",
    ):
        assert wanted in text, wanted
    assert max(len(line) for line in text.splitlines() if "hub " not in line) <= 120
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


async def test_a_demo_never_writes_over_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("site: {}\n")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "demo", "--folder", str(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 1
    assert "must be empty or absent" in said.decode()
    assert os.listdir(tmp_path) == ["hub.yaml"]
