"""The trip as JSON for a program: `hub explain --json`. Its form is documented in docs/explain.md and does not change
without a CHANGELOG line."""

from __future__ import annotations

from typing import Any

from hub.domains import Members, compared, domain_of
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
    News,
    ParsedMessage,
    Receipt,
    Refusal,
    Step,
    Thought,
    Verdict,
)


def as_json(file: str, parsed: ParsedMessage, thought: Thought, members: Members) -> dict[str, Any]:
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
        "sender": _sender(parsed.from_address or "", members),
        "archives": [_archive(archive) for archive in parsed.archives],
        "documents": [_document(document) for document in loose],
        "signature": {
            "form": parsed.signature.form,
            "protocol": parsed.signature.protocol,
            "verdict": _verdict(thought.verdict or parsed.verdict),
        },
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


def _sender(address: str, members: Members) -> dict[str, Any]:
    member = members.of(address)
    return {
        "domain": compared(domain_of(address)) if "@" in address else None,
        "member": members.standing(address),
        "operators": list(member.organisations) if member is not None else [],
    }


def _verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    evidence = verdict.evidence
    return {
        "outcome": verdict.outcome,
        "integrity": verdict.integrity,
        "chain": verdict.chain,
        "sender": verdict.sender,
        "time": verdict.time,
        "reasons": list(verdict.reasons),
        "revocation_checked": verdict.is_revocation_checked,
        "at": verdict.at.isoformat(),
        "evidence": {
            "fingerprint": evidence.fingerprint,
            "subject": evidence.subject,
            "issuer": evidence.issuer,
            "serial": evidence.serial,
            "addresses": list(evidence.addresses),
            "not_before": evidence.not_before and evidence.not_before.isoformat(),
            "not_after": evidence.not_after and evidence.not_after.isoformat(),
            "signed_at": evidence.signed_at and evidence.signed_at.isoformat(),
            "algorithm": evidence.algorithm,
            "digest": evidence.digest,
            "chain": list(evidence.chain),
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
            role = {"role": step.role} if step.role else {}
            return {"reason": step.reason, "recipient": step.recipient, "content": step.content} | role
        case News():
            return {
                "reason": step.reason,
                "sending": step.sending,
                "recipient": step.recipient,
                "rung": step.rung.value,
                "status": step.status,
            }
        case Hold():
            return {"reason": step.reason, "about": step.about, "reasons": [r.code for r in step.reasons]}
        case Refusal():
            return {"reason": step.reason, "reasons": [r.code for r in step.reasons]}
        case _:
            return {"reason": step.reason}
