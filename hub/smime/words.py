"""A verdict on a signature in plain French, for `hub show`, `hub explain` and the pages: what it is worth, why, what to
do. Codes are stable and in English; one without a sentence still gives one that can be shown."""

from __future__ import annotations

from hub.message import Finding, Verdict

OUTCOMES = {
    "valid": "signature valable : le message vient bien de son expéditeur et n'a pas été modifié",
    "invalid": "signature refusée : ne vous y fiez pas",
    "unproven": "signature non prouvée : elle ne dit pas avec certitude qui a écrit",
}
PARTS: dict[str, dict[Finding, str]] = {
    "contenu": {"good": "intact", "bad": "modifié, ou signature fausse", "unknown": "non vérifié"},
    "autorité": {"good": "reconnue", "bad": "non reconnue", "unknown": "non vérifiée"},
    "expéditeur": {"good": "c'est le signataire", "bad": "ce n'est pas le signataire", "unknown": "non vérifié"},
    "dates": {"good": "certificat valable à la réception", "bad": "hors des dates", "unknown": "non vérifiées"},
}
_ASK = "Demandez à l'expéditeur de signer à nouveau."
_CALL = "Vérifiez par téléphone qui a écrit avant d'agir."
SENTENCES = {
    # integrity
    "altered": f"Le contenu n'est pas celui qui a été signé : il a été modifié. N'en tenez pas compte. {_CALL}",
    "forged": f"La signature n'a pas été faite avec le certificat qui l'accompagne. {_CALL}",
    "not-whole": "La signature ne couvre qu'une partie du message : le reste a pu être ajouté par n'importe qui. "
    f"{_CALL}",
    "ambiguous": f"La structure du message peut se lire de deux façons : on ne sait pas ce qui a été signé. {_CALL}",
    "odd-structure": "Le message signé n'a pas la forme prévue (un contenu, une signature) : on ne sait pas ce qui a "
    f"été signé. {_CALL}",
    "signature-unreadable": f"La signature est illisible : elle ne prouve rien. {_ASK}",
    "not-a-signature": f"La pièce qui devrait être la signature n'en est pas une. {_ASK}",
    "signature-too-large": f"La signature est démesurée : elle n'a pas été lue, par sécurité. {_ASK}",
    "no-signer": f"La signature ne porte aucun signataire. {_CALL}",
    "several-signers": f"La signature porte plusieurs signataires : on ne sait pas lequel croire. {_CALL}",
    "no-signed-attributes": f"La signature est d'une forme que les faussaires utilisent : elle est refusée. {_ASK}",
    "attribute-twice": f"La signature dit deux fois la même chose : elle est refusée. {_ASK}",
    "content-twice": "La signature porte un second contenu, caché, à côté de celui qui est affiché : elle est refusée. "
    f"{_CALL}",
    "odd-content-type": f"La signature porte sur autre chose qu'un message : elle est refusée. {_ASK}",
    "no-certificate": f"Le certificat du signataire n'accompagne pas sa signature. {_ASK}",
    "several-certificates": f"Deux certificats peuvent être celui du signataire : la signature est refusée. {_CALL}",
    "other-certificate": f"Le certificat joint n'est pas celui que le signataire a utilisé. {_CALL}",
    "weak-digest": "La signature utilise un procédé ancien et trop faible (SHA-1 par exemple) : elle ne prouve rien. "
    "Demandez à l'expéditeur de mettre à jour sa messagerie.",
    "odd-algorithm": "La signature utilise un procédé que le hub ne connaît pas : elle n'a pas pu être vérifiée. "
    "Prévenez votre administrateur.",
    "algorithms-differ": f"La signature annonce un procédé et en utilise un autre : elle est refusée. {_ASK}",
    # chain
    "no-anchors": "Aucune autorité de confiance n'est réglée dans le hub : on ne sait pas qui a signé. Votre "
    "administrateur peut régler signatures.anchors.",
    "unknown-authority": "Le certificat du signataire ne vient pas d'une autorité reconnue ici, ou sa chaîne est "
    f"incomplète. {_CALL}",
    "self-signed": f"Le signataire s'est fait son certificat lui-même : n'importe qui peut le faire. {_CALL}",
    "not-an-authority": "Le certificat du signataire a été émis par quelqu'un qui n'en a pas le droit. Prévenez votre "
    "administrateur.",
    "chain-broken": f"Le certificat du signataire est un faux, ou il est abîmé. {_CALL}",
    "chain-refused": "Le certificat du signataire, ou l'un de ceux qui l'accompagnent, n'est pas conforme. Prévenez "
    "votre administrateur.",
    "weak-certificate": "Un certificat de la chaîne utilise une clé ou un procédé trop faible : il ne prouve rien. "
    "Prévenez l'expéditeur.",
    "revoked": f"Le certificat du signataire a été révoqué par son autorité : il ne prouve plus rien. {_CALL}",
    "wrong-usage": "Le certificat du signataire n'est pas prévu pour signer des courriels. Prévenez l'expéditeur ; "
    "s'il s'agit d'un certificat d'organisation attendu, votre administrateur peut compléter signatures.purposes.",
    # the author
    "other-sender": f"Le certificat est celui d'une autre adresse que l'expéditeur affiché. {_CALL}",
    "no-author": f"Le message n'a pas d'expéditeur. {_CALL}",
    "several-authors": f"Le message affiche plusieurs expéditeurs : la signature n'en prouve aucun. {_CALL}",
    "author-unreadable": f"L'adresse de l'expéditeur est mal écrite : elle ne se compare pas au certificat. {_CALL}",
    "misleading-name": f"Le nom affiché de l'expéditeur contient une autre adresse que la sienne. {_CALL}",
    "headers-differ": f"L'expéditeur, l'objet ou la date affichés ne sont pas ceux qui ont été signés. {_CALL}",
    "no-address-in-certificate": "Le certificat est celui d'une organisation et ne porte pas d'adresse : il dit quelle "
    "structure a signé, pas que c'est cette boîte. Comparez le nom du signataire avec l'expéditeur.",
    # the time
    "expired": "Le certificat du signataire était périmé quand le message est arrivé. Prévenez l'expéditeur.",
    "not-yet-valid": "Le certificat du signataire n'était pas encore valable. Prévenez l'expéditeur.",
    "signed-later": f"L'heure de signature est postérieure à la réception. {_CALL}",
    "signed-outside-validity": "L'heure de signature est hors des dates de validité du certificat. Prévenez "
    "l'expéditeur.",
    # what is no fault
    "no-signing-time": "La signature ne dit pas quand elle a été faite : seule la date de réception compte.",
    "replies-elsewhere": "Les réponses iront ailleurs qu'au signataire : vérifiez l'adresse avant de répondre.",
    "sent-by-another": "Le message a été envoyé par une autre adresse que celle du signataire, pour son compte.",
    "other-protocol": "La signature est d'une autre sorte que S/MIME (PGP par exemple) : le hub ne la vérifie pas.",
    "too-large-to-check": "Le message signé est trop gros, dans cette forme, pour être vérifié sans risque.",
    "not-checked": "La signature n'a pas pu être vérifiée, faute de mémoire. Prévenez votre administrateur.",
}


def sentence(code: str) -> str:
    return SENTENCES.get(code, f"La signature a un défaut que cette version du hub ne sait pas nommer ({code}).")


def in_words(verdict: Verdict) -> str:
    return OUTCOMES[verdict.outcome]


def parts_in_words(verdict: Verdict) -> tuple[tuple[str, str, Finding], ...]:
    """(part, what was found, how good that is), four of them."""
    findings = (verdict.integrity, verdict.chain, verdict.sender, verdict.time)
    return tuple((part, words[found], found) for (part, words), found in zip(PARTS.items(), findings, strict=True))
