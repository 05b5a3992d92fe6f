"""The kind of one document: by its declared code first, by its words otherwise; sure enough, or none at all.

In: a document, the mail around it. Out: a verdict with a confidence (0 to 1) and each piece of evidence. It abstains
under the site's threshold and on a near tie: a document without a kind is sorted by a human, a wrong kind is not seen
by anybody. Structured truth goes before words (libs.md §7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hub.message import Document, DocumentForm, ParsedMessage, Reason
from hub.routing.catalogue import Catalogue, Weight
from hub.routing.globs import matches
from hub.routing.words import Hit, outer_hit, tokens

BY_CODE = 0.95  # one kind lists the declared code, no other may travel under it
BY_CODE_AMONG_OTHERS = 0.8  # one kind lists it, others may travel under it, and no word decides
NEAR_TIE = 0.8  # the second has this part of the first's points: nobody wins
ONE_SIGN = 0.5  # most confidence of a kind that a single sign speaks for, or whose title other trades use too
NAMED = ("title", "subject")  # where a paper is called by its name: two words of it are enough
ACRONYM_LEAST, SPOKEN_LEAST = 3, 4  # letters of an acronym, words of a phrase in running text, that are enough alone
HEADING_MOST = 200  # characters of such a line
HEADING_LINES = 40  # lines in which a document still says what it is (child-protection.md §2.4: the title zone)
LITTLE_WORD = 4  # letters; shorter words (`de`, `sur`, `du`) change no name

# How much a place counts: a title is written to say what it is; a file name is chosen by whoever scanned it, and
# swapping two file names must not swap two verdicts (scenario SC03).
PLACES: dict[str, float] = {"title": 1.0, "heading": 1.0, "subject": 0.8, "text": 0.8, "body": 0.6, "name": 0.2}
PLACE_NAMES = {
    "title": "le titre",
    "heading": "le haut du texte",
    "subject": "l'objet",
    "text": "le texte",
    "body": "le corps du message",
    "name": "le nom du fichier",
}
POINTS: dict[Weight, float] = {"title": 3.0, "strong": 2.0, "weak": 0.5, "negative": -2.5}
TITLE_ELSEWHERE = 2.0  # a title found in running text is only a strong word
EACH_WORD_MORE, WORDS_MOST = 0.5, 4  # a longer phrase is less often there by chance
WEAK_MOST = 2.0  # long texts hold every weak word there is
SENDER_HINT = 0.75
CARRIER_HINT = 1.0
DOUBT = 1.0  # confidence = first / (first + second + doubt)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks for or against a kind. `source` tells independent signs apart; `alone`: enough without a
    second one."""

    source: str
    weight: Weight
    points: float
    shown: str
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`kind` is None when nothing was sure enough; `leading` is what would have won."""

    kind: str | None
    confidence: float
    reasons: tuple[Reason, ...]
    leading: str | None = None


@dataclass(slots=True)
class _Case:
    """What speaks for one kind."""

    evidence: dict[tuple[str, ...], Evidence]

    def points(self) -> float:
        weak = sum(e.points for e in self.evidence.values() if e.weight == "weak")
        return sum(e.points for e in self.evidence.values() if e.weight != "weak") + min(weak, WEAK_MOST)


def kind_of(document: Document, parsed: ParsedMessage, catalogue: Catalogue, threshold: float) -> Verdict:
    """The verdict on one document of the mail."""
    code = document.type_code.code if document.type_code else None
    named = catalogue.by_code.get(code, ()) if code else ()
    carried = catalogue.by_carrier.get(code, ()) if code else ()
    if code and not named and not carried:
        return _without_kind(code)
    if code and len(named) == 1 and not carried:
        return Verdict(kind=named[0], confidence=BY_CODE, reasons=(_code_reason(code, named[0], catalogue),))
    cases = _cases(document, parsed, catalogue)
    if code:
        cases = {kind: case for kind, case in cases.items() if kind in named or kind in carried}
        for case in cases.values():
            shown = f"code déclaré {code}, possible pour ce type"
            case.evidence[("", code)] = Evidence("code", "strong", CARRIER_HINT, shown)
    verdict = _best(cases, catalogue, threshold)
    if verdict.kind is None and code and len(named) == 1:
        reasons = (_code_reason(code, named[0], catalogue), *verdict.reasons)
        return Verdict(kind=named[0], confidence=BY_CODE_AMONG_OTHERS, reasons=reasons)
    return verdict


def _without_kind(code: str) -> Verdict:
    text = f"code déclaré {code} : aucun type du catalogue ne lui correspond, les mots ne sont pas consultés"
    return Verdict(kind=None, confidence=0.0, reasons=(Reason("type-code-without-kind", text),))


def _code_reason(code: str, kind: str, catalogue: Catalogue) -> Reason:
    return Reason("type-code", f"code déclaré {code} : {catalogue.label(kind)}")


def _cases(document: Document, parsed: ParsedMessage, catalogue: Catalogue) -> dict[str, _Case]:
    cases: dict[str, _Case] = {}
    for place, text in _texts(document, parsed):
        words = tokens(text)
        hits = catalogue.index.find(words, capitals_matter=place != "name")
        for hit, outer in zip(hits, outer_hit(hits), strict=True):
            enough = _is_enough(hit, words, place)
            _weigh(hit, outer, place, enough, catalogue, cases)
    for line in document.text.split("\n", HEADING_LINES)[:HEADING_LINES]:
        _weigh_heading(tokens(line[:HEADING_MOST]), catalogue, cases)
    _add_sender(parsed, catalogue, cases)
    return cases


def _weigh_heading(words: list[str], catalogue: Catalogue, cases: dict[str, _Case]) -> None:
    """A line of the text that is a title and nothing else weighs as one; it still needs a second sign."""
    hits = catalogue.index.find(words)
    for hit, outer in zip(hits, outer_hit(hits), strict=True):
        is_title = any(one.weight == "title" for one in catalogue.weighed[hit.phrase])
        if is_title and _is_whole_name(words[: hit.start], words[hit.end :]):
            _weigh(hit, outer, "heading", False, catalogue, cases)


def _texts(document: Document, parsed: ParsedMessage) -> Iterable[tuple[str, str]]:
    """(place, text) of all that may say what the document is. The mail's own words count only for a lone document."""
    yield "title", _own_title(document)
    yield "name", document.name or ""
    yield "text", document.text
    if len(parsed.documents) <= 1:
        yield "subject", parsed.subject
        yield "body", parsed.body


def _own_title(document: Document) -> str:
    """What its author calls it. A loose file has none: its title is but its file name, without the ending."""
    is_loose = document.form is not DocumentForm.CDA and document.name is not None
    return "" if is_loose and (document.name or "").startswith(document.title) else document.title


def _weigh(
    hit: Hit, outer: Hit | None, place: str, enough: bool, catalogue: Catalogue, cases: dict[str, _Case]
) -> None:
    """Adds what the hit says. A hit inside a longer one says nothing for any kind (`ordonnance` in `ordonnance de
    placement provisoire`), but what speaks against a kind still does, unless the longer one speaks for it."""
    outer_kinds = {one.kind for one in catalogue.weighed[outer.phrase] if one.weight != "negative"} if outer else set()
    for one in catalogue.weighed[hit.phrase]:
        if outer is not None and (one.weight != "negative" or one.kind in outer_kinds):
            continue
        base = POINTS[one.weight]
        if one.weight == "title" and place in ("text", "body"):
            base = TITLE_ELSEWHERE
        if one.weight in ("title", "strong"):
            base += EACH_WORD_MORE * (min(len(hit.phrase.words), WORDS_MOST) - 1)
        points = base * PLACES[place]
        shown = f"« {hit.phrase.shown} » dans {PLACE_NAMES[place]}"
        found = Evidence(place, one.weight, points, shown, enough and one.weight in ("title", "strong"))
        case = cases.setdefault(one.kind, _Case({}))
        before = case.evidence.get(hit.phrase.words)
        if before is None or abs(points) > abs(before.points):
            case.evidence[hit.phrase.words] = found


def _is_enough(hit: Hit, words: list[str], place: str) -> bool:
    """Whether the phrase may speak alone: the paper is called so, and nothing else (`Rapport de situation Lou M.`, not
    `Rapport de situation financière`), or it is too long to be met in passing. One word (`Convocation`) never is."""
    found = hit.phrase
    if len(found.words) >= SPOKEN_LEAST:
        return True
    in_full = len(found.words) > 1 or len(found.acronym or "") >= ACRONYM_LEAST
    return place in NAMED and in_full and _is_whole_name(words[: hit.start], words[hit.end :])


def _is_whole_name(before: list[str], after: list[str]) -> bool:
    """Before a name stand only little words (`TR`, `Fwd`), after it also names of people, dates and numbers; in a line
    of capitals nothing tells those apart from others."""
    around = [*before, *after]
    if around and all(word.isupper() for word in around if word.isalpha()):
        after = [word.lower() for word in after]
    return all(len(word) < LITTLE_WORD for word in before) and all(
        len(word) < LITTLE_WORD or not word[:1].islower() for word in after
    )


def _add_sender(parsed: ParsedMessage, catalogue: Catalogue, cases: dict[str, _Case]) -> None:
    """A known writer adds a little to the kinds that such a writer issues; alone it says nothing."""
    address = parsed.from_address or ""
    issuer = next((issuer for glob, issuer in catalogue.senders if matches(glob, address)), None)
    if issuer is None:
        return
    for kind, case in cases.items():
        if issuer in catalogue.kinds[kind].issuers and case.points() > 0:
            case.evidence[("", issuer)] = Evidence("sender", "strong", SENDER_HINT, f"expéditeur connu : {issuer}")


def _best(cases: dict[str, _Case], catalogue: Catalogue, threshold: float) -> Verdict:
    ranked = sorted(((case.points(), kind) for kind, case in cases.items()), key=lambda pair: (-pair[0], pair[1]))
    ranked = [(points, kind) for points, kind in ranked if points > 0 and _has_a_word(cases[kind])]
    if not ranked:
        return Verdict(kind=None, confidence=0.0, reasons=(Reason("no-sign", "aucun mot du catalogue n'a été trouvé"),))
    first, kind = ranked[0]
    second, runner_up = ranked[1] if len(ranked) > 1 else (0.0, None)
    confidence = first / (first + second + DOUBT)
    reasons = _evidence_reasons(kind, cases[kind], catalogue)
    if not catalogue.kinds[kind].title_alone and not _has_second_sign(cases[kind]):
        confidence = min(confidence, ONE_SIGN)
        reasons += (Reason("one-sign", "ce titre sert aussi ailleurs : il faut un second indice"),)
    elif not _is_founded(cases[kind]):
        confidence = min(confidence, ONE_SIGN)
        reasons += (Reason("one-sign", "un seul indice, qui se trouve aussi ailleurs : il en faut un second"),)
    verdict = Verdict(kind=kind, confidence=round(confidence, 3), reasons=reasons, leading=kind)
    if second >= NEAR_TIE * first:
        text = f"presque à égalité avec {catalogue.label(runner_up)} : une personne doit choisir"
        return replace(verdict, kind=None, reasons=(*reasons, Reason("near-tie", text)))
    if confidence < threshold:
        text = f"confiance {confidence:.2f} sous le seuil {threshold:.2f} : une personne doit choisir"
        return replace(verdict, kind=None, reasons=(*reasons, Reason("under-threshold", text)))
    return verdict


def _has_a_word(case: _Case) -> bool:
    return any(e.weight in ("title", "strong") and e.source not in ("code", "sender") for e in case.evidence.values())


def _is_founded(case: _Case) -> bool:
    """Two signs, or one that is enough."""
    signs = [e for e in case.evidence.values() if e.points > 0]
    return len(signs) > 1 or any(e.alone for e in signs)


def _has_second_sign(case: _Case) -> bool:
    """Something beside the title phrases: a code, a writer, or another word of the trade."""
    return any(e.points > 0 and (e.source in ("code", "sender") or e.weight == "weak") for e in case.evidence.values())


def _evidence_reasons(kind: str, case: _Case, catalogue: Catalogue) -> tuple[Reason, ...]:
    ordered = sorted(case.evidence.values(), key=lambda e: (-abs(e.points), e.shown))[:8]
    label = catalogue.label(kind)
    return tuple(
        Reason(e.weight if e.source in PLACES else e.source, f"{label} : {e.shown} ({e.points:+.1f})") for e in ordered
    )
