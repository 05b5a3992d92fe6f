"""Tries the whole way: a mail from the mailbox to itself, its times, what was changed on it, its signature."""

from __future__ import annotations

from collections.abc import Mapping

from hub.compose import Letterhead
from hub.errors import HubError, Temporary, UncertainDelivery
from hub.ports import Sender
from hub.raw import Whole
from hub.trial.comparing import Body, Compared, compared
from hub.trial.going import Trying
from hub.trial.letter import Sent, plain_letter, signed_letter
from hub.trial.round_trip import Lost, Post, Returned, round_trip
from hub.trial.steps import Steps
from hub.trial.words import LEFT

_WHY = {
    "blanks": "des blancs en fin de ligne ont été ôtés",
    "from": "une ligne qui commence par « From » a reçu un chevron",
    "rewrapped": "des lignes ont été recoupées",
    "eight-bit": "des caractères accentués ont été perdus",
    "longer": "du texte a été ajouté",
    "shorter": "du texte manque",
}


async def try_mail(
    trying: Trying,
    sender: Sender,
    letterhead: Letterhead,
    new_id: str,
    offered: Mapping[str, str],
    within: float,
    steps: Steps,
) -> None:
    """First as it is, to see what the way changes; then signed, when the mailbox signs what it sends. `new_id`: a
    Message-ID, of which the second mail makes its own."""
    post = Post(
        mailbox=trying.mailbox,
        operator=trying.operator,
        watching=trying.settings.watching,
        find_imap=trying.find_imap,
        sender=sender,
    )
    plain = plain_letter(letterhead, new_id, trying.clock(), takes_8bit="8bitmime" in offered)
    came = await _gone(post, plain, "mail", within, steps)
    if came is None:
        return
    _tell_changes(compared(plain.raw, came.raw), "8bitmime" in offered, steps)
    if trying.signer is None:
        return
    signed = signed_letter(letterhead, new_id.replace("<", "<s.", 1), trying.clock(), trying.signer)
    came = await _gone(post, signed, "signed", within, steps)
    if came is not None:
        await _tell_signature(trying, signed, came, steps)


async def _gone(post: Post, mail: Sent, code: str, within: float, steps: Steps) -> Returned | None:
    """Sent and brought back, each a step."""
    what = "Message d'essai signé" if code == "signed" else "Message d'essai"
    steps.begin()
    try:
        came = await round_trip(post, mail.raw, mail.message_id, within=within)
    except Lost as error:
        steps.ok(f"{code}-sent", f"{what} : accepté par l'opérateur", error.answer, seconds=error.accepted_in)
        steps.failed(
            f"{code}-back",
            f"{what} : pas revenu dans la boîte en {within:.0f} s",
            remedy="Vérifiez que l'adresse de la boîte (address) est bien celle que ce serveur relève (username, "
            "folder), qu'aucune règle de la boîte ne le range ailleurs, et cherchez un avis d'échec dans la boîte. "
            "S'il arrive plus tard, le hub le note et n'en fait rien.",
            seconds=within,
        )
        return None
    except UncertainDelivery as error:
        steps.failed(f"{code}-sent", f"{what} : coupé pendant la remise", error.private, remedy="Recommencez.")
        return None
    except HubError as error:
        retry = isinstance(error, Temporary)
        remedy = "Recommencez dans quelques minutes. " if retry else ""
        remedy += "Si cela dure, donnez la réponse ci-dessus à l'opérateur : droits de la boîte, adresse, quota."
        steps.failed(
            f"{code}-sent", f"{what} : non envoyé, ou la boîte n'a pas pu être relue", error.private, remedy=remedy
        )
        return None
    steps.ok(f"{code}-sent", f"{what} : accepté par l'opérateur", came.answer, seconds=came.accepted_in)
    steps.ok(f"{code}-back", f"{what} : revenu dans {came.folder}", seconds=came.back_in)
    if came.left != "removed":
        steps.note(f"{code}-removed", LEFT[came.left])
    return came


def _tell_changes(found: Compared, was_8bit: bool, steps: Steps) -> None:
    if found.is_untouched:
        how = "" if was_8bit else " (envoyé en 7 bits : le serveur n'annonce pas 8BITMIME)"
        steps.ok("mail-intact", f"Trajet : rien n'a été modifié en chemin{how}", seconds=0.0)
        return
    seen = [f"en-tête {name} : disparu" for name in found.lost]
    seen += [f"en-tête {name} : modifié" for name in found.changed]
    seen += [f"en-tête {name} : replié autrement" for name in found.refolded]
    seen += {
        Body.SAME: [],
        Body.LINE_ENDS: ["texte : fins de ligne modifiées"],
        Body.RECODED: ["texte : recodé en chemin, le contenu est le même"],
        Body.CHANGED: [f"texte : {_WHY.get(found.why)}"],
    }[found.body]
    if found.reads_the_same:
        steps.note(
            "mail-intact",
            "Trajet : la forme du message a été modifiée en chemin, son contenu est le même",
            *seen,
            remedy="Rien à faire : ce que le hub signe est codé de façon à ne pas souffrir de cela.",
        )
        return
    steps.failed(
        "mail-intact",
        "Trajet : le message a été modifié en chemin",
        *seen,
        remedy="Donnez ces lignes à l'opérateur : un serveur ne doit rien changer à un message qu'il transporte. Un "
        "envoi signé ainsi modifié sera refusé par son destinataire.",
        seconds=0.0,
    )


async def _tell_signature(trying: Trying, sent: Sent, came: Returned, steps: Steps) -> None:
    if trying.reader is None:
        return
    steps.begin()
    try:
        verdict = (await trying.reader.read(Whole(came.raw), received_at=trying.clock())).verdict
    except HubError as error:
        remedy = "Recommencez ; si cela dure, lancez hub check."
        steps.failed("signed-intact", "Signature : le message revenu n'a pas pu être lu", error.private, remedy=remedy)
        return
    if verdict is not None and verdict.integrity == "good":
        authority = (
            "" if trying.settings.signatures.anchors else " (autorité non vérifiée : signatures.anchors est vide)"
        )
        steps.ok("signed-intact", f"Signature : intacte à l'arrivée{authority}")
        return
    steps.failed(
        "signed-intact",
        "Signature : brisée en chemin",
        *(verdict.reasons if verdict is not None else ("la signature a disparu",)),
        *(f"en-tête {name} modifié" for name in compared(sent.raw, came.raw).changed),
        remedy="Donnez cela à l'opérateur : un serveur a modifié un message signé. En attendant, retirez signing à "
        "cette boîte, ou vos destinataires verront une signature fausse.",
    )
