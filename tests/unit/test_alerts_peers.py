"""What is told of servers that are refused and of lists that grow old, each on both sides of its limit."""

from __future__ import annotations

from datetime import timedelta

from hub.alerts import CODES, Alert
from hub.alerts.peers import Met, of_peers
from hub.trust.kept import Trouble
from hub.trust.peers import Peer, Refusal
from hub.trust.standing import ListStanding
from tests.unit.test_alerts import NOW, settings

HOUR = timedelta(hours=1)


def raised(*peers: Peer, lists: tuple[ListStanding, ...] = ()) -> list[Alert]:
    return list(of_peers(settings(), Met(peers, lists), NOW))


def peer(code: str = "", last: timedelta = timedelta(0)) -> Peer:
    refusal = Refusal(code, "Un texte pour les gens.", NOW - 30 * HOUR, NOW - last) if code else None
    server = "imap.operateur.example:143"
    return Peer(operator="operateur", is_test=False, server=server, certificate=b"", met_at=NOW, refusal=refusal)


def standing(
    since: timedelta, *, code: str = "connect", until: timedelta = HOUR, ends: timedelta | None = HOUR
) -> ListStanding:
    trouble = Trouble(7, code, NOW - since, NOW + until)
    return ListStanding(
        name="ACI-EL-ORG.crl",
        fetched_at=NOW - since,
        ends_at=None if ends is None else NOW + ends,
        trouble=trouble,
    )


def test_nothing_is_told_of_who_is_believed() -> None:
    assert raised(peer()) == []


def test_a_server_of_which_nothing_is_known_is_urgent() -> None:
    (alert,) = raised(peer("peer-revocation-unknown"))
    assert (alert.code, alert.is_urgent, alert.subject) == (
        "revocation-unknown",
        True,
        "operateur imap.operateur.example:143",
    )
    assert "24/11/2026 à 05:00" in alert.text
    assert "fetching.proxy" in alert.text


def test_any_other_refusal_is_urgent_with_its_own_text() -> None:
    (alert,) = raised(peer("peer-no-name"))
    assert (alert.code, alert.is_urgent) == ("peer-refused", True)
    assert "(peer-no-name). Un texte pour les gens." in alert.text


def test_a_server_that_nobody_wants_any_more_is_forgotten() -> None:
    assert raised(peer("peer-revoked", last=23 * HOUR))
    assert raised(peer("peer-revoked", last=24 * HOUR)) == []


def test_a_list_is_told_when_it_cannot_be_had_for_long() -> None:
    assert raised(lists=(standing(12 * HOUR),)) == []
    (alert,) = raised(lists=(standing(12 * HOUR + timedelta(seconds=1)),))
    assert (alert.code, alert.is_urgent, alert.subject) == ("crl-stale", False, "ACI-EL-ORG.crl")
    assert "ne peut pas être obtenue (connect) ; la dernière copie sert jusqu'à sa fin, le 25/11/2026 à" in alert.text
    assert raised(lists=(standing(13 * HOUR, until=-25 * HOUR),)) == []  # nobody asks any more
    assert raised(lists=(ListStanding(name="ACI-EL-ORG.crl", fetched_at=NOW, ends_at=NOW + HOUR),)) == []


def test_the_reason_and_what_is_left_are_told() -> None:
    (alert,) = raised(lists=(standing(13 * HOUR, code="not-der", ends=-HOUR),))
    assert "une page au lieu de la liste (not-der) ; la dernière copie n'a plus cours depuis le 25/11" in alert.text
    (alert,) = raised(lists=(standing(13 * HOUR, ends=None),))
    assert "il n'y en a aucune copie" in alert.text


def test_their_codes_are_counted_by_the_metrics() -> None:
    assert {"peer-refused", "revocation-unknown", "crl-stale"} <= set(CODES)
