"""How a trip is told: as text for a human (`explain`, `show`), as JSON for a program (docs/explain.md).

Presentation only. What is printed here is personal data on the screen of someone who may see it; nothing of it goes
to a log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import routing
from hub.encoding import step_name
from hub.message import (
    Archive,
    Attachment,
    Candidate,
    Defect,
    Delivery,
    Document,
    Filing,
    Hold,
    Identity,
    ParsedMessage,
    Receipt,
    Refusal,
    Step,
    Thought,
)

CLASSES = {
    "dsn": "avis de (non-)remise",
    "mdn": "accusé de lecture",
    "auto_reply": "réponse automatique",
    "xdm": "document de santé (archive IHE_XDM)",
    "document": "document sans archive",
    "text": "message simple",
}
OUTCOMES = {"certain": "certain", "proposed": "proposé, à décider", "none": "aucun"}
ACTIONS = {"none": "premier envoi", "replace": "remplacement", "delete": "demande de suppression"}
AGREEMENTS = {"equal": "identique", "close": "proche", "different": "différent", "absent": "absent"}
TRAITS = {
    "ins": "INS",
    "oid": "autorité de l'INS",
    "birth_name": "nom de naissance",
    "first_given": "premier prénom",
    "birth_date": "date de naissance",
    "sex": "sexe",
    "birth_place": "lieu de naissance",
    "given_names": "prénoms",
    "used_name": "nom utilisé",
}
INS_STATUSES = {
    "provisoire": "provisoire",
    "recuperee": "récupéré, non qualifié",
    "validee": "validé, non qualifié",
    "qualifiee": "qualifié",
}


# --- for a program ----------------------------------------------------------------------------------------------


def as_json(file: str, parsed: ParsedMessage, thought: Thought) -> dict[str, Any]:
    """The object that docs/explain.md documents."""
    loose = [document for document in parsed.documents if document.archive is None]
    return {
        "file": file,
        "message": {
            "message_id": parsed.message_id,
            "subject": parsed.subject,
            "from": parsed.from_address,
            "to": list(parsed.to),
            "date": parsed.date,
            "defects": [_defect(defect) for defect in parsed.defects],
            "attachments": [_attachment(leaf) for leaf in parsed.attachments],
        },
        "archives": [_archive(archive) for archive in parsed.archives],
        "documents": [_document(document) for document in loose],
        "signature": {"form": parsed.signature.form, "protocol": parsed.signature.protocol},
        "classification": {
            "class": thought.classification.message_class.value,
            "kind": thought.classification.kind,
            "confidence": round(thought.classification.confidence, 3),
            "reasons": [{"code": r.code, "text": r.text} for r in thought.classification.reasons],
        },
        "match": {
            "outcome": thought.match.outcome,
            "code": thought.match.code,
            "candidates": [_candidate(candidate) for candidate in thought.match.candidates],
            "reasons": [{"code": r.code, "text": r.text} for r in thought.match.reasons],
        },
        "plan": {
            "rule": thought.plan.rule,
            "steps": [{"type": step_name(step), **_step(step)} for step in thought.plan.steps],
            "tried": [
                {
                    "rule": tried.name,
                    "line": tried.line,
                    "matched": tried.matched,
                    "conditions": [{"condition": c, "seen": seen, "held": held} for c, seen, held in tried.conditions],
                }
                for tried in thought.plan.tried
            ],
        },
    }


def _defect(defect: Defect) -> dict[str, Any]:
    return {"code": defect.code, "detail": defect.detail, "grave": defect.grave}


def _attachment(leaf: Attachment) -> dict[str, Any]:
    return {
        "number": leaf.number,
        "path": leaf.path,
        "name": leaf.name,
        "media_type": leaf.media_type,
        "size": leaf.size,
        "sha256": leaf.sha256,
    }


def _archive(archive: Archive) -> dict[str, Any]:
    return {
        "name": archive.name,
        "attachment": archive.attachment,
        "sha256": archive.sha256,
        "defects": [_defect(defect) for defect in archive.defects],
        "documents": [_document(document) for document in archive.documents],
    }


def _document(document: Document) -> dict[str, Any]:
    code = document.type_code
    return {
        "unique_id": document.unique_id,
        "form": document.form.value,
        "name": document.name,
        "media_type": document.media_type,
        "size": document.size,
        "sha256": document.sha256,
        "type_code": code.code if code else None,
        "type_system": code.system if code else None,
        "type_label": code.label if code else None,
        "title": document.title,
        "patient": _patient(document.patient),
        "created_at": document.created_at,
        "act_at": document.act_at,
        "action": document.action,
        "hash_ok": document.hash_ok,
        "size_ok": document.size_ok,
        "level": document.level,
        "set_id": document.set_id,
        "version": document.version,
        "replaces": list(document.replaces),
        "attachments": list(document.attachments),
        "defects": [_defect(defect) for defect in document.defects],
    }


def _patient(identity: Identity | None) -> dict[str, Any] | None:
    if identity is None:
        return None
    local = identity.local_ids[0] if identity.local_ids else None
    return {
        "id": identity.ins or (local.value if local else None),
        "oid": identity.oid or (local.oid if local else None),
        "birth_name": identity.birth_name,
        "first_names": identity.given_names or identity.first_given,
        "birth_date": identity.birth_date,
        "sex": identity.sex,
        "birth_place": identity.birth_place,
        "local_ids": [{"id": item.value, "oid": item.oid} for item in identity.local_ids],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "usager": candidate.usager_id,
        "record_number": candidate.record_number,
        "ins_status": candidate.ins_status,
        "traits": [
            {"name": t.name, "agreement": t.agreement, "stated": t.stated, "known": t.known} for t in candidate.traits
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    match step:
        case Filing():
            return {
                "reason": step.reason,
                "document": step.unique_id,
                "usager": step.usager_id,
                "action": step.action,
                "kind": step.kind,
            }
        case Receipt():
            return {"reason": step.reason, "recipient": step.recipient, "code": step.code, "label": step.label}
        case Delivery():
            return {"reason": step.reason, "recipient": step.recipient, "content": step.content}
        case Hold():
            return {"reason": step.reason, "about": step.about, "reasons": [r.code for r in step.reasons]}
        case Refusal():
            return {"reason": step.reason, "reasons": [r.code for r in step.reasons]}
        case _:
            return {"reason": step.reason}


# --- for a human ------------------------------------------------------------------------------------------------


Label = Callable[[str | None], str]  # the catalogue's name of a kind


def tell(console: Console, title: str, parsed: ParsedMessage, thought: Thought, label: Label) -> None:
    """The whole trip in plain French: what was found, each rule tried, the plan."""
    tell_found(console, title, parsed, thought, label)
    tell_rules(console, thought)
    console.print("\n[bold]Le plan[/] :")
    for number, step in enumerate(thought.plan.steps, 1):
        console.print(f"  {number}. {escape(in_words(step))}")
    if not thought.plan.steps:
        console.print("  rien à faire : le message est noté et conservé.")


def tell_found(console: Console, title: str, parsed: ParsedMessage, thought: Thought, label: Label) -> None:
    """What the message holds, what it is, whose it is."""
    console.rule(escape(title), align="left")
    console.print(f"De : {escape(parsed.from_address or '(inconnu)')}    À : {escape(', '.join(parsed.to))}")
    console.print(f"Objet : {escape(parsed.subject or '(sans objet)')}")
    tell_contents(console, parsed)
    found = thought.classification
    kind = f" ; {escape(label(found.kind) or 'type non reconnu')}" if thought.kinds else ""  # documents have one
    console.print(f"\n[bold]Ce que c'est[/] : {CLASSES[found.message_class.value]}{kind} ({found.confidence:.0%})")
    for reason in found.reasons:
        console.print(f"  · {escape(reason.text)}")
    tell_match(console, thought)


def tell_contents(console: Console, parsed: ParsedMessage) -> None:
    for leaf in parsed.attachments:
        console.print(f"  pièce {leaf.number} : {escape(leaf.name or '(sans nom)')} ({leaf.media_type}, {leaf.size} o)")
    for defect in parsed.defects:
        console.print(f"  ! {escape(routing.reason(defect.code).text)}")
    for archive in parsed.archives:
        for defect in archive.defects:
            console.print(f"  ! archive {escape(archive.name)} : {escape(routing.reason(defect.code).text)}")
    for document in parsed.documents:
        code = document.type_code
        label = f"{code.code} {code.label}" if code else "type non déclaré"
        console.print(f"  document : {escape(document.title or document.name or '(sans titre)')} - {escape(label)}")
        console.print(f"    créé le {document.created_at or '?'}, niveau {document.level}, {ACTIONS[document.action]}")
        for defect in document.defects:
            console.print(f"    ! {escape(routing.reason(defect.code).text)}")


def tell_match(console: Console, thought: Thought) -> None:
    match = thought.match
    code = f" (code {match.code})" if match.code else ""
    console.print(f"\n[bold]Pour qui[/] : rapprochement {OUTCOMES[match.outcome]}{code}")
    for reason in match.reasons:
        console.print(f"  · {escape(reason.text)}")
    for candidate in match.candidates:
        table = Table("trait", "dans le document", "au dossier", "verdict", box=None, padding=(0, 2, 0, 4))
        for trait in candidate.traits:
            verdict = AGREEMENTS[trait.agreement]
            table.add_row(TRAITS.get(trait.name, trait.name), escape(trait.stated), escape(trait.known), verdict)
        number = candidate.record_number or candidate.usager_id
        console.print(
            f"  dossier {escape(number)} (INS {INS_STATUSES.get(candidate.ins_status, candidate.ins_status)})"
        )
        console.print(table)


def tell_rules(console: Console, thought: Thought) -> None:
    console.print(f"\n[bold]La règle[/] : {escape(thought.plan.rule)}")
    for tried in thought.plan.tried:
        mark = "oui" if tried.matched else "non"
        console.print(f"  {mark}  {escape(tried.name)} (ligne {tried.line})")
        for condition, seen, held in tried.conditions:
            console.print(f"        {'=' if held else '≠'} {escape(condition)} (vu : {escape(seen)})")


def in_words(step: Step) -> str:
    """A step as a short French sentence."""
    match step:
        case Filing(action="delete"):
            return "marquer le document comme supprimé, à la demande de son auteur"
        case Filing(action="replace"):
            return "classer la nouvelle version au dossier, à la place de l'ancienne"
        case Filing(historic=True):
            return "classer au dossier comme version antérieure"
        case Filing():
            return "classer au dossier de l'usager"
        case Receipt(code=0):
            return f"accuser réception à {step.recipient}"
        case Receipt():
            return f"répondre à {step.recipient} que l'intégration a échoué ({step.code} {step.label})"
        case Hold(about="receipt"):
            return "mettre l'accusé en attente : " + " ".join(r.text for r in step.reasons)
        case Hold():
            return "mettre en attente : " + " ".join(r.text for r in step.reasons)
        case Refusal():
            return "refuser : " + " ".join(r.text for r in step.reasons)
        case Delivery(content="copy"):
            return f"envoyer une copie à {step.recipient}"
        case Delivery():
            return f"prévenir {step.recipient}, sans donnée de santé"
        case _:
            return "remettre au DUI"
