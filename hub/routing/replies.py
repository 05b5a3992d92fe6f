"""What the author of a held submission answers to the letter about it: the record number of the usager, or `annuler`.

In: the reply and the letters of ours that it may answer. Out: an `Answer`, or None for a mail that answers none. Only
what was newly written is read: nothing of a quoted letter, in which record numbers stand. Anything that is not clear is
an answer without a number, and the letter says so again, once.

Accepted: `[dossier 1234]` or `dossier n° 1234` anywhere; a record number of one of the candidates alone on its line
(`1234`, `c'est le 1234`, `n° 1234, merci`); `annuler`, `annulez`, `ne pas envoyer` alone on its line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from hub.message import Answer, Asked, Envelope, LetterSent, Match, ParsedMessage, Reason, Subjects
from hub.routing.asked import in_brackets, in_line, number_clue, spellings
from hub.routing.letters import asks
from hub.routing.reasons import reason

READ_MOST = 5_000  # characters of a reply
LINES_MOST = 60

_MARK = re.compile(
    r"[ée]crivez au-dessus|au-dessus de cette ligne", re.IGNORECASE
)  # `letters.REPLY_ABOVE`, wrapped too
# Where a quoted mail begins, as mail programs write it.
_QUOTED = re.compile(
    r"-{2,}\s*(?:message d'origine|message original|original message|message transf[ée]r[ée]|forwarded message)\b.*"
    r"|_{10,}"
    r"|(?:le|on)\s.{4,200}(?:a écrit|a ecrit|wrote)\s*:?"
    r"|(?:de|from|expéditeur|envoyé)\s*:\s.{3,}"
    r"|(?:envoyé de|sent from|télécharger outlook)\b.*",
    re.IGNORECASE,
)
_QUOTES = (">", "|")
_BRACKETED = re.compile(r"\[[^\[\]]{1,100}\]")
_DENIAL = re.compile(r"\b(?:pas|non|ni|aucun|sauf|plutôt)\b", re.IGNORECASE)
_CANCEL = re.compile(
    r"\W*(?:bonjour\W+)?(?:merci d'|veuillez |il faut )?"
    r"(?:annul(?:er|ez|ation|é|e)|ne pas envoyer|n'envoyez (?:pas|rien))"
    r"(?:[\s,;.!]+(?:l'envoi|cet envoi|le message|svp|s'il vous plaît|merci(?: d'avance| beaucoup)?|cordialement))*\W*",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"^\W*(?:(?:bonjour|oui|c'est|il s'agit|bien|du|le|la|de|dossier|usager|numéro|n[°ºo]\.?|:)[\s,:]*)*|[\s,.;!]*"
    r"(?:merci(?: d'avance)?|svp|s'il vous plaît|cordialement)?[\s,.;!]*$",
    re.IGNORECASE,
)


def answer_of(
    parsed: ParsedMessage, envelope: Envelope, letters: Iterable[LetterSent], match: Match | None = None
) -> Answer | None:
    """What a submission answers to a letter about a held submission of the same mailbox; None when it answers none, or
    when a machine wrote it. `letters` are those sent under `answered_ids(parsed)`, `match` is what the hold shows."""
    if not envelope.is_submission or _is_automatic(parsed):
        return None
    answered = next((one for one in letters if _is_answered(one, parsed, envelope)), None)
    if answered is None:
        return None
    answer = _read(parsed, answered.message, match or Match())
    if answered.is_held:
        return answer
    is_meant = answer.number is not None or answer.cancels
    return Answer(message=answered.message, reason=reason("answer-too-late")) if is_meant else None


def usager_named(answer: Answer, subjects: Subjects) -> str | Reason:
    """The id of the usager whom an answer names, or why it names nobody for certain. `subjects` is what the records
    know under `number_clue(answer.number)`."""
    if answer.number is None:
        return answer.reason or reason("answer-empty")
    exact = [one.id for one in subjects.usagers if one.record_number == answer.number]
    spelled = spellings(answer.number)
    found = exact or [one.id for one in subjects.usagers if one.record_number in spelled]
    if len(found) == 1:
        return found[0]
    return reason("number-of-several" if found else "number-unknown")


def asked_by(answer: Answer) -> Asked:
    """What must be looked up for an answer."""
    return Asked() if answer.number is None else Asked(clues=(number_clue(answer.number),))


def answered_ids(parsed: ParsedMessage) -> tuple[str, ...]:
    """The Message-IDs that a reply names as answered: one, or none. `References` name the whole thread: they prove
    nothing."""
    return (parsed.in_reply_to,) if parsed.in_reply_to else ()


def _is_answered(letter: LetterSent, parsed: ParsedMessage, envelope: Envelope) -> bool:
    """The author answers the letter that went to their own mailbox."""
    return (
        letter.outgoing_id in answered_ids(parsed)
        and asks(letter.subject)
        and letter.mailbox is not None
        and letter.mailbox == envelope.mailbox
        and (parsed.from_address or "").casefold() == letter.recipient.casefold()
    )


def _is_automatic(parsed: ParsedMessage) -> bool:
    """RFC 3834, and receipts: no machine decides whose a document is."""
    declared = (parsed.auto_submitted or "no").partition(";")[0].strip().lower()
    return declared not in ("", "no") or parsed.report is not None or parsed.return_path == ""


def _read(parsed: ParsedMessage, message: str, match: Match) -> Answer:
    lines = new_lines(parsed.body)
    cancels = any(_CANCEL.fullmatch(line) for line in lines)
    numbers = _numbers([*lines, *_BRACKETED.findall(parsed.subject[:500])], match)
    if cancels and numbers:
        return Answer(message=message, reason=reason("answer-both"))
    if cancels:
        return Answer(message=message, cancels=True)
    if len(numbers) > 1:
        return Answer(message=message, reason=reason("answer-several"))
    if not numbers:
        return Answer(message=message, reason=reason("answer-empty"))
    ((number, is_denied),) = numbers.items()
    if is_denied:
        return Answer(message=message, reason=reason("answer-denied"))
    return Answer(message=message, number=number)


def new_lines(body: str) -> list[str]:
    """The lines of a reply that its author wrote, each without blanks around it; nothing of what it quotes, and nothing
    of the signature. Thunderbird puts the cursor below the quoted letter: what stands there is read too, but nothing
    between two quoted lines, which may be the end of a long one that was folded."""
    lines = [_plain(line) for line in body[:READ_MOST].split("\n")]
    quoted = [number for number, line in enumerate(lines) if line.startswith(_QUOTES)]
    if quoted and len(body) > READ_MOST:  # how far it quotes is not known
        lines = lines[: quoted[0]]
    kept: list[str] = []
    for number, line in enumerate(lines):
        if not line or (quoted and quoted[0] <= number <= quoted[-1]):
            continue
        if line in ("--", "—") or _MARK.search(line):
            break
        if _QUOTED.fullmatch(line):
            following = next((one for one in lines[number + 1 :] if one), "")
            if following.startswith(_QUOTES):
                continue
            break
        kept.append(line)
    return kept[:LINES_MOST]


def _plain(line: str) -> str:
    return unicodedata.normalize("NFKC", line).strip().replace("’", "'")


def _numbers(lines: list[str], match: Match) -> dict[str, bool]:
    """Each record number that is given, and whether its line denies it. A number alone on its line
    counts when a candidate has it."""
    exact = [one.record_number for one in match.candidates if one.record_number]
    known = {spelled: number for number in exact for spelled in spellings(number)} | {one: one for one in exact}
    found: dict[str, bool] = {}
    for line in lines:
        for written in _given(line, known):
            number = known.get(written, written)
            found[number] = found.get(number, False) or _DENIAL.search(line) is not None
    return found


def _given(line: str, known: dict[str, str]) -> list[str]:
    """The record numbers of a line, as written or as a candidate has them."""
    written: list[str] = []
    for clue in (*in_brackets(line), *in_line(_BRACKETED.sub(" ", line), "reply")):
        of_candidate = next((one for one in clue.numbers if one in known), None)
        if of_candidate is not None or clue.is_clear:
            written.append(of_candidate or clue.numbers[0])
    if written:
        return written
    alone = (spelled for text in (line, _POLITE.sub("", line)) for spelled in spellings(text))
    return [one for one in alone if one in known][:1]
