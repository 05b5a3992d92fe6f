"""How a trip is told to a human (`explain`, `show`), in plain French. For a program: `hub.cli.story_json`.

Presentation only. What is printed here is personal data on the screen of someone who may see it; nothing of it goes
to a log.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import routing
from hub.domains import Members, domain_of
from hub.ids import shown
from hub.message import (
    Composition,
    Delivery,
    Filing,
    Hold,
    News,
    ParsedMessage,
    Receipt,
    Refusal,
    Step,
    Thought,
    Verdict,
)
from hub.receipts import ladder
from hub.routing import portraits
from hub.smime import words

CLASSES = {
    "dsn": "avis de (non-)remise",
    "mdn": "accusé de lecture",
    "auto_reply": "réponse automatique",
    "letter": "lettre du hub, revenue à sa boîte",
    "xdm": "document de santé (archive IHE_XDM)",
    "document": "document sans archive",
    "text": "message simple",
}
OUTCOMES = {"certain": "certain", "proposed": "proposé, à décider", "none": "aucun"}
ACTIONS = {"none": "premier envoi", "replace": "remplacement", "delete": "demande de suppression"}
MARKS = {"good": "oui", "bad": "NON", "unknown": " ? "}
AGREEMENTS = {"equal": "identique", "close": "proche", "different": "différent", "absent": "absent"}
INS_STATUSES = {
    "provisoire": "provisoire",
    "recuperee": "récupéré, non qualifié",
    "validee": "validé, non qualifié",
    "qualifiee": "qualifié",
}


Label = Callable[[str | None], str]  # the catalogue's name of a kind


def tell(console: Console, title: str, parsed: ParsedMessage, thought: Thought, label: Label, members: Members) -> None:
    """The whole trip in plain French: what was found, each rule tried, the plan."""
    tell_found(console, title, parsed, thought, label, members)
    tell_rules(console, thought)
    console.print("\n[bold]Le plan[/] :")
    for number, step in enumerate(thought.plan.steps, 1):
        console.print(f"  {number}. {escape(in_words(step))}")
    if not thought.plan.steps:
        console.print("  rien à faire : le message est noté et conservé.")


def tell_found(
    console: Console, title: str, parsed: ParsedMessage, thought: Thought, label: Label, members: Members
) -> None:
    """What the message holds, from where, what it is, whose it is."""
    console.rule(escape(title), align="left")
    console.print(f"De : {escape(parsed.from_address or '(inconnu)')}    À : {escape(', '.join(parsed.to))}")
    console.print(f"Expéditeur : {escape(standing_in_words(parsed.from_address or '', members))}")
    console.print(f"Objet : {escape(parsed.subject or '(sans objet)')}")
    tell_signature(console, parsed, thought.verdict or parsed.verdict)
    tell_contents(console, parsed)
    found = thought.classification
    kind = f" ; {escape(label(found.kind) or 'type non reconnu')}" if thought.kinds else ""  # documents have one
    console.print(f"\n[bold]Ce que c'est[/] : {CLASSES[found.message_class.value]}{kind} ({found.confidence:.0%})")
    for reason in found.reasons:
        console.print(f"  · {escape(reason.text)}")
    tell_match(console, thought)


def standing_in_words(address: str, members: Members) -> str:
    """Whether an author is of the trust space (RH-38), with the operators of the domain."""
    if not members.is_known:
        return "appartenance à l'espace de confiance non vérifiée (aucune liste blanche en usage)"
    member = members.of(address)
    if member is None:
        domain = domain_of(address) if "@" in address else ""
        return f"HORS de l'espace de confiance ({domain or 'domaine inconnu'})"
    by = f" : {', '.join(member.organisations)}" if member.organisations else ", ajouté par le site"
    return f"membre de l'espace de confiance ({member.name}{by})"


def tell_signature(console: Console, parsed: ParsedMessage, verdict: Verdict | None) -> None:
    """The verdict as it was given, each of its four parts, and by what it can be checked again."""
    if verdict is None:
        if parsed.signature.form != "none":
            console.print("Signature : présente, sans verdict (le message n'a pas été jugé à sa réception)")
        return
    console.print(f"Signature : {escape(words.in_words(verdict))}")
    for part, found, finding in words.parts_in_words(verdict):
        console.print(f"  {MARKS[finding]} {part} : {escape(found)}")
    for code in verdict.reasons:
        console.print(f"    · {escape(words.sentence(code))}")
    evidence = verdict.evidence
    if evidence.fingerprint:
        console.print(f"  signataire : {escape(evidence.subject)} {escape(' '.join(evidence.addresses))}")
        console.print(f"  certificat n° {evidence.serial}, émis par {escape(evidence.issuer)}")
        console.print(f"  empreinte du certificat {evidence.fingerprint} ({evidence.algorithm})")
        if evidence.signed_at is not None:
            console.print(f"  signé le {evidence.signed_at:%d/%m/%Y à %H:%M} UTC, selon le signataire")
    revoked = "" if verdict.is_revocation_checked else " ; la révocation du certificat n'a pas été vérifiée"
    console.print(f"  jugé le {verdict.at:%d/%m/%Y à %H:%M} UTC{revoked}")


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
            name = portraits.TRAIT_NAMES.get(trait.name, trait.name)
            table.add_row(name, escape(trait.stated), escape(trait.known), verdict)
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
        case Composition():
            return f"préparer le message pour {', '.join(step.recipients)}"
        case Delivery():
            return _delivery_in_words(step)
        case News():
            code = f" ({step.status})" if step.status else ""
            return f"noter sur l'envoi {shown(step.sending)}, pour {step.recipient} : {ladder.name_of(step.rung)}{code}"
        case _:
            return "remettre au DUI"


def _delivery_in_words(step: Delivery) -> str:
    role = f" ({step.role})" if step.role else ""
    match step.content:
        case "copy":
            return f"envoyer une copie à {step.recipient}{role}"
        case "dispatch":
            return f"remettre le message à l'opérateur, pour {step.recipient}{role}"
        case "outcome":
            return f"écrire à {step.recipient} ce qu'il est devenu, s'il n'a pas abouti"
        case "sent-copy":
            return "ranger une copie dans le dossier des messages envoyés de la boîte"
        case "letter":
            return f"écrire à {step.recipient} : {step.subject}"
        case "notice":
            return f"prévenir {step.recipient}{role}, sans donnée de santé"
