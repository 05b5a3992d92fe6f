"""The site's rules: read downward, first match wins, everything wrong said at load with its line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import routing
from hub.domains import members_of
from hub.errors import Misconfigured
from hub.routing.globs import covers, matches
from hub.routing.rules import _LOOKED_AT, Facts, When, first_match
from tests.unit.routing_samples import OURS, rulebook

KIND = "content: social, sensitivity: S2, dmp: never, urgency: P1, conf: A"
TYPES = f"""
version: "1"
document_types:
  - {{id: opp, label: Ordonnance, titles: [Ordonnance], {KIND}}}
  - {{id: rapport_situation, label: Rapport, titles: [Rapport], {KIND}}}
  - {{id: indetermine, label: Non reconnu, {KIND}}}
"""
LAST = """
  - name: sinon
    then: {hold: "Ce message attend une personne."}
"""


def book(rules: str, policy: routing.Policy | None = None, mailboxes: frozenset[str] = frozenset()) -> routing.Rulebook:
    return routing.make_rulebook(
        types_text=TYPES,
        types_name="document_types.yaml",
        routes_text="rules:" + rules + LAST,
        routes_name="routes.yaml",
        policy=policy or routing.Policy(),
        mailbox_names=mailboxes,
    )


def refused(rules: str, policy: routing.Policy | None = None, mailboxes: frozenset[str] = frozenset()) -> str:
    with pytest.raises(Misconfigured) as caught:
        book(rules, policy, mailboxes)
    return caught.value.private


def decided(rules: str, facts: Facts) -> str:
    return first_match(facts, book(rules).routes)[0].name


# --- which rule decides -------------------------------------------------------------------------------------------

TWO = """
  - name: un
    when: {mailbox: secretariat}
    then: {file: true}
  - name: deux
    when: {class: xdm}
    then: {note: "Vu."}
"""


def test_the_first_rule_that_matches_wins() -> None:
    assert decided(TWO, Facts(mailbox="secretariat", message_class="xdm")) == "un"
    assert decided(TWO, Facts(mailbox="direction", message_class="xdm")) == "deux"
    assert decided(TWO, Facts(mailbox="direction", message_class="text")) == "sinon"


def test_all_conditions_of_a_rule_must_hold() -> None:
    rules = """
  - name: un
    when: {mailbox: secretariat, match: certain}
    then: {file: true}
"""
    assert decided(rules, Facts(mailbox="secretariat", match=("certain",))) == "un"
    assert decided(rules, Facts(mailbox="secretariat", match=("none", "902"))) == "sinon"


@pytest.mark.parametrize(
    ("condition", "facts"),
    [
        ("sender: '*@ase.departement-exemple.mssante.fr'", Facts(sender="dupont@ase.departement-exemple.mssante.fr")),
        ("domain: HOPITAL-exemple.mssante.fr", Facts(domain="hopital-exemple.mssante.fr")),
        ("class: [xdm, document]", Facts(message_class="document")),
        ("kind: opp", Facts(kinds=("opp",))),
        ("kind: [opp, 'rapport_*']", Facts(kinds=("rapport_situation", "opp"))),
        ("kind: unknown", Facts(kinds=("unknown",))),
        ("type_code: 28653-4", Facts(type_codes=("28653-4",))),
        ("type_code: '*'", Facts(type_codes=("11490-0",))),
        ("urgency: [P0, P1]", Facts(urgency="P0")),
        ("confidentiality: restricted", Facts(confidentiality=("N", "MASQUE_PS", "restricted"))),
        ("confidentiality: 'INVISIBLE_*'", Facts(confidentiality=("N", "INVISIBLE_PATIENT", "restricted"))),
        ("facility: 690000001", Facts(facility="690000001")),
        ("match: 904", Facts(match=("proposed", "904"))),
        ("match: [proposed, none]", Facts(match=("none", "902"))),
        ("report: failed", Facts(report=("failed",))),
    ],
)
def test_a_condition_holds(condition: str, facts: Facts) -> None:
    rules = f"\n  - name: un\n    when: {{{condition}}}\n    then: {{note: 'Vu.'}}\n"
    assert decided(rules, facts) == "un"
    assert decided(rules, Facts()) == "sinon"


@pytest.mark.parametrize(
    ("condition", "facts"),
    [
        ("kind: opp", Facts(kinds=("opp", "unknown"))),
        ("type_code: '*'", Facts(type_codes=("11490-0", ""))),
        ("sender: dupont@x.fr", Facts(sender="dupont@x.fr.evil.example")),
        ("sender: '*@x.fr'", Facts(sender="a@x.fr.evil.example")),
        ("domain: x.fr", Facts(domain="sub.x.fr")),
        ("confidentiality: normal", Facts(confidentiality=("R", "restricted"))),
        ("mailbox: '*'", Facts(message_class="xdm")),
    ],
)
def test_a_condition_does_not_hold(condition: str, facts: Facts) -> None:
    rules = f"\n  - name: un\n    when: {{{condition}}}\n    then: {{note: 'Vu.'}}\n"
    assert decided(rules, facts) == "sinon"


def test_each_rule_tried_shows_the_value_seen() -> None:
    _, tried = first_match(Facts(mailbox="direction", message_class="xdm"), book(TWO).routes)
    assert [(one.name, one.matched, one.line) for one in tried] == [("un", False, 2), ("deux", True, 5)]
    assert tried[0].conditions == (("mailbox: secretariat", "direction", False),)
    assert tried[1].conditions == (("class: xdm", "xdm", True),)


# --- what is refused at load --------------------------------------------------------------------------------------


def test_the_last_rule_must_be_a_hold_without_conditions() -> None:
    for last in ("then: {note: 'Vu.'}", "when: {class: xdm}\n    then: {hold: 'Attend.'}"):
        with pytest.raises(Misconfigured) as caught:
            routing.make_rulebook(
                types_text=TYPES,
                types_name="t.yaml",
                routes_text=f"rules:\n  - name: sinon\n    {last}\n",
                routes_name="r.yaml",
                policy=routing.Policy(),
                mailbox_names=frozenset(),
            )
        assert "r.yaml:2 rules.0 the last rule must be a hold without conditions" in caught.value.private


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            "\n  - name: un\n    whne: {class: xdm}\n    then: {file: true}",
            "routes.yaml:3 rules.0.whne Extra inputs are not permitted",
        ),
        (
            "\n  - name: un\n    when: {clas: xdm}\n    then: {file: true}",
            "routes.yaml:3 rules.0.when.clas Extra inputs are not permitted",
        ),
        (
            "\n  - name: un\n    then: {file: true, hold: 'Attend.'}",
            "routes.yaml:3 rules.0.then Value error, exactly one of file, send, note, hold, refuse is expected",
        ),
        ("\n  - name: un\n    then: {copy: a@b.fr}", "routes.yaml:3 rules.0.then Value error, exactly one of"),
        ("\n  - name: un\n    then: {file: false}", "routes.yaml:3 rules.0.then.file Input should be True"),
        ("\n  - name: Un deux\n    then: {file: true}", "routes.yaml:2 rules.0.name String should match"),
        (
            "\n  - name: un\n    when: {kind: oop}\n    then: {file: true}",
            "routes.yaml:3 rules.0.when.kind oop is no known kind",
        ),
        ("\n  - name: un\n    when: {kind: indetermine}\n    then: {file: true}", "indetermine is no known kind"),
        ("\n  - name: un\n    when: {class: mail}\n    then: {file: true}", "mail is no known class"),
        ("\n  - name: un\n    when: {match: 907}\n    then: {file: true}", "907 is no known match"),
        ("\n  - name: un\n    when: {urgency: P9}\n    then: {file: true}", "P9 is no known urgency"),
        ("\n  - name: un\n    when: {class: []}\n    then: {file: true}", "rules.0.when.class"),
        ("\n  - name: un\n    then: {note: 'Vu.', copy: 'pas une adresse'}", "rules.0.then.copy.0"),
        (
            "\n  - name: un\n    when: {class: dsn}\n    then: {note: 'Vu.', notify: a@b.fr}",
            "routes.yaml:4 rules.0.then.notify an automatic mail is never answered or copied",
        ),
        (
            "\n  - name: un\n    when: {class: xdm}\n    then: {file: true}"
            "\n  - name: un\n    when: {class: text}\n    then: {note: 'Vu.'}",
            "routes.yaml:5 rules.1.name un is the name of an earlier rule too",
        ),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line(rules: str, message: str) -> None:
    assert message in refused(rules)


def test_every_error_is_said_at_once() -> None:
    rules = "\n  - name: un\n    when: {kind: oop, class: mail}\n    then: {file: true}"
    assert len(refused(rules).splitlines()) == 2


def test_an_unknown_mailbox_is_refused_when_the_site_is_known() -> None:
    rules = "\n  - name: un\n    when: {mailbox: secretaria}\n    then: {file: true}"
    assert "secretaria is no known mailbox" in refused(rules, mailboxes=frozenset({"secretariat"}))
    assert book(rules).routes[0].route.name == "un"
    assert book(rules.replace("secretaria", "'secr*'"), mailboxes=frozenset({"secretariat"}))


def test_a_copy_to_our_own_mailbox_is_refused() -> None:
    rules = f"\n  - name: un\n    then: {{note: 'Vu.', copy: {OURS.upper()}}}"
    assert "the mail would come back for ever" in refused(rules, routing.Policy(own_addresses=frozenset({OURS})))


def test_a_copy_out_of_the_trust_space_is_refused() -> None:
    policy = routing.Policy(members=members_of(["membre.mssante.fr"]))
    rules = "\n  - name: un\n    when: {class: xdm}\n    then: {note: 'Vu.', copy: a@ailleurs.example}"
    assert "a@ailleurs.example is outside the trust space" in refused(rules, policy)
    assert book(rules.replace("ailleurs.example", "membre.mssante.fr"), policy)


def test_a_copy_out_of_the_trust_space_is_refused_with_what_is_near() -> None:
    policy = routing.Policy(members=members_of(["cd12.mssante.fr", "chu.mssante.fr"]))
    rules = "\n  - name: un\n    when: {class: xdm}\n    then: {note: 'Vu.', notify: a@cd12.oc.mssante.fr}"
    assert (
        "routes.yaml:4 rules.0.then.notify a@cd12.oc.mssante.fr is outside the trust space (nearest member domains: "
        "cd12.mssante.fr)" in refused(rules, policy)
    )


def test_a_list_that_changed_is_no_fault_of_the_rules() -> None:
    rules = "\n  - name: un\n    when: {class: xdm}\n    then: {note: 'Vu.', copy: a@cd12.mssante.fr}"
    before = book(rules, routing.Policy(members=members_of(["cd12.mssante.fr"])))
    assert routing.strangers(before) == ()
    after = routing.with_members(before, members_of(["cd12.oc.mssante.fr"]))
    (told,) = routing.strangers(after)
    assert told.startswith("line 2, un: cd12.mssante.fr is outside")
    assert (after.routes, before.policy.members.has("a@cd12.mssante.fr")) == (before.routes, True)


def test_a_rule_may_ask_whether_the_sender_is_of_the_trust_space() -> None:
    rules = "\n  - name: dehors\n    when: {sender_member: outside}\n    then: {refuse: 'Pas pour nous.'}"
    assert decided(rules, Facts(sender_member="outside")) == "dehors"
    assert decided(rules, Facts(sender_member="member")) == "sinon"
    assert decided(rules, Facts(sender_member="unknown")) == "sinon"
    assert "yes is no known sender member" in refused(rules.replace("outside", "'yes'"))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{class: xdm}", "{class: xdm, match: certain}"),
        ("{class: [xdm, document]}", "{class: document}"),
        ("{sender: '*@x.fr'}", "{sender: dupont@x.fr}"),
        ("{sender: '*@x.fr'}", "{sender: 'd*@x.fr', class: xdm}"),
        ("{kind: '*'}", "{kind: opp}"),
        ("{}", "{class: xdm}"),
        ("{match: certain}", "{match: certain}"),
    ],
)
def test_a_rule_that_can_never_be_reached_is_refused(earlier: str, later: str) -> None:
    rules = f"""
  - name: avant
    when: {earlier}
    then: {{note: "Vu."}}
  - name: apres
    when: {later}
    then: {{note: "Vu."}}
"""
    assert "routes.yaml:5 rules.1.name apres can never be reached" in refused(rules)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{class: xdm, match: certain}", "{class: xdm}"),
        ("{class: document}", "{class: [xdm, document]}"),
        ("{sender: dupont@x.fr}", "{sender: '*@x.fr'}"),
        ("{class: xdm}", "{match: certain}"),
    ],
)
def test_a_rule_that_can_be_reached_is_taken(earlier: str, later: str) -> None:
    rules = f"""
  - name: avant
    when: {earlier}
    then: {{note: "Vu."}}
  - name: apres
    when: {later}
    then: {{note: "Vu."}}
"""
    assert [numbered.route.name for numbered in book(rules).routes] == ["avant", "apres", "sinon"]


def test_the_shipped_rules_are_right() -> None:
    shipped = rulebook()
    assert shipped.routes[-1].route.then.hold
    assert shipped.routes[0].line > 1


# --- patterns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "value", "held"),
    [
        ("*", "", True),
        ("*", "anything", True),
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("a*a", "a", False),
        ("*b*", "abc", True),
        ("a*b*c", "a-c-b-c", True),
        ("a*b*c", "acb", False),
        ("É*", "été", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_does(pattern: str, value: str, held: bool) -> None:
    assert matches(pattern, value) is held


def test_no_pattern_can_freeze_the_hub() -> None:
    """libs.md §10, row 28: (a+)+$ and its like."""
    started = time.process_time()
    for pattern in ("(a+)+$", "*a" * 100 + "b", "a*" * 100 + "!"):
        matches(pattern, "a" * 100_000)
    assert time.process_time() - started < 0.1


_words = st.text(alphabet="ab*", max_size=6)


@given(wide=_words, narrow=_words, value=st.text(alphabet="ab", max_size=6))
def test_what_covers_a_pattern_matches_all_that_it_matches(wide: str, narrow: str, value: str) -> None:
    if covers(wide, narrow) and matches(narrow, value):
        assert matches(wide, value)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("confidentiality: restrited", "restrited is no known confidentiality"),
        ("report: faild", "faild is no known report"),
        ("report: 907", "907 is no known report"),
    ],
)
def test_a_slip_of_the_pen_in_a_closed_vocabulary_is_refused(when: str, message: str) -> None:
    """`restrited` would let pass what it was written to hold."""
    assert f"routes.yaml:3 rules.0.when.{when.partition(':')[0]} {message}" in refused(
        f"\n  - name: un\n    when: {{{when}}}\n    then: {{hold: 'Attend.'}}"
    )


@pytest.mark.parametrize(
    "when", ["confidentiality: [V, MASQUE_PS, 'INVISIBLE_*']", "report: [failed, '550', '5*', 902]"]
)
def test_the_words_of_the_vocabulary_are_taken(when: str) -> None:
    book(f"\n  - name: un\n    when: {{{when}}}\n    then: {{hold: 'Attend.'}}")


@pytest.mark.parametrize(
    "when",
    ["class: [dsn, mdn, auto_reply, xdm, document, text]", "match: [certain, proposed, none]", "class: '*'"],
)
def test_a_condition_that_names_everything_is_none(when: str) -> None:
    rules = (
        f"\n  - name: avant\n    when: {{{when}}}\n    then: {{hold: 'Attend.'}}"
        "\n  - name: apres\n    when: {mailbox: un}\n    then: {hold: 'Attend.'}"
    )
    assert "apres can never be reached" in refused(rules)


@pytest.mark.parametrize(
    ("when", "second"),
    [
        ("class: text, match: certain", "match"),
        ("class: [dsn, mdn], kind: opp", "kind"),
        ("class: auto_reply, type_code: '*'", "type_code"),
        ("class: text, urgency: P0", "urgency"),
        ("class: [xdm, document], report: failed", "report"),
    ],
)
def test_conditions_that_no_mail_can_meet_together_are_refused(when: str, second: str) -> None:
    rules = f"\n  - name: un\n    when: {{{when}}}\n    then: {{hold: 'Attend.'}}"
    assert f"rules.0.when.{second} can never hold with class" in refused(rules)


# --- what people of ours want sent ------------------------------------------------------------------------------------

NO_RULES = LAST.lstrip("\n")


def with_submissions(text: str) -> routing.Rulebook:
    return routing.make_rulebook(
        types_text=TYPES,
        types_name="document_types.yaml",
        routes_text="rules:\n" + NO_RULES + "\nsubmissions:\n" + text,
        routes_name="routes.yaml",
        policy=routing.Policy(),
        mailbox_names=frozenset(),
    )


SENT = """
  - name: vers-l-ase
    when: {recipient_domain: "ase*.example", match: certain}
    then: {send: true, signed: always}
  - name: rien-d-autre
    then: {hold: "Faites valider cet envoi."}
"""


def test_submissions_are_decided_for_each_recipient() -> None:
    rules = with_submissions(SENT).submissions
    asked = Facts(recipient=("eds@ase69.example",), recipient_domain="ase69.example", match=("certain",))
    assert first_match(asked, rules)[0].name == "vers-l-ase"
    assert first_match(asked, rules)[0].then.signed == "always"
    elsewhere = Facts(recipient=("a@ailleurs.example",), recipient_domain="ailleurs.example", match=("certain",))
    assert first_match(elsewhere, rules)[0].name == "rien-d-autre"


def test_a_file_without_submissions_sends_nothing() -> None:
    assert [one.route.then.hold is not None for one in book("").submissions] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "  - name: un\n    when: {sender: a@b.example}\n    then: {send: true}\n" + NO_RULES,
            "submissions.0.when.sender sender has no meaning in submissions",
        ),
        (
            "  - name: un\n    then: {file: true}\n" + NO_RULES,
            "submissions.0.then.file file has no meaning in submissions",
        ),
        (
            "  - name: un\n    when: {match: certain}\n    then: {send: true}",
            "submissions.0 the last rule must be a hold without conditions",
        ),
        (
            "  - name: un\n    then: {send: true}\n" + NO_RULES,
            "submissions.1.name sinon can never be reached: everything it matches is taken by un",
        ),
    ],
)
def test_a_wrong_submission_rule_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        with_submissions(text)
    assert message in caught.value.private


@pytest.mark.parametrize("text", ["when: {user: a}\n    then: {file: true}", "then: {send: true}"])
def test_what_belongs_to_submissions_has_no_meaning_for_what_comes_in(text: str) -> None:
    assert "has no meaning in rules" in refused(f"\n  - name: un\n    {text}")


def test_every_condition_that_a_rule_may_state_is_looked_at() -> None:
    assert set(_LOOKED_AT) == set(When.model_fields)
