"""The XML signature of the list: what an anchor vouches for, by sound algorithms, and only what was signed."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import pytest
from lxml import etree

from hub.errors import Misconfigured
from hub.settings import Membership
from hub.trust.members import judge
from hub.trust.members_reading import NAMESPACE, ListRefused, read_members
from hub.trust.members_signature import signed_part
from tests.memberlists import a_list, signed
from tests.signers import AT, Authority, Holder, self_signed

LIST = a_list("cd12.mssante.fr", "ase.exemple.mssante.fr")
CN = "BAL DU SECRETARIAT"


@cache
def authority(title: str = "AC") -> Authority:
    return Authority(title=title)


@cache
def holder() -> Holder:
    return authority().signer()


def code(raw: bytes, anchors: tuple[bytes, ...] | None = None, signer: str | None = None) -> str:
    with pytest.raises(ListRefused) as refused:
        signed_part(raw, authority().anchors if anchors is None else anchors, signer, AT)
    return refused.value.code


def names(raw: bytes) -> frozenset[str]:
    return read_members(raw).names


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_signed_list_is_taken_as_it_was_signed(kind: str) -> None:
    own = Authority("rsa" if kind == "rsa" else "ec")
    found = signed_part(signed(LIST, own.signer()), own.anchors, None, AT)
    assert (found.signer, names(found.raw)) == (CN, names(LIST))
    assert not read_members(found.raw).is_signed


def test_the_intermediate_authority_may_be_the_anchor() -> None:
    assert signed_part(signed(LIST, holder()), (authority().intermediate.der,), None, AT).signer == CN


def test_the_seal_of_an_organisation_commits_to_contents() -> None:
    seal = authority().signer("", signs=False, commits=True, purposes=())
    assert names(signed_part(signed(LIST, seal), authority().anchors, None, AT).raw) == names(LIST)


def test_a_changed_list_is_refused() -> None:
    assert code(signed(LIST, holder()).replace(b"cd12.", b"cd13.")) == "signature"


def test_an_entry_added_after_the_signature_is_refused() -> None:
    raw = signed(LIST, holder())
    assert (
        code(raw.replace(b"</ListeDomaines>", b"<Domaine><Nom>evil.fr</Nom></Domaine></ListeDomaines>")) == "signature"
    )


def test_another_authority_and_none_are_refused() -> None:
    raw = signed(LIST, holder())
    assert code(raw, authority("AUTRE").anchors) == "signature"
    assert code(raw, ()) == "no-anchors"


def test_who_vouches_for_himself_is_refused() -> None:
    assert code(signed(LIST, self_signed())) == "signature"


def test_a_certificate_that_is_over_or_for_something_else_is_refused() -> None:
    over = authority().signer(not_after=AT - timedelta(seconds=1))
    assert code(signed(LIST, over)) == "signature"
    assert code(signed(LIST, authority().signer(signs=False))) == "signature"


@pytest.mark.parametrize("pattern", [CN, "bal du *", "*secretariat"])
def test_the_signer_may_be_named(pattern: str) -> None:
    assert signed_part(signed(LIST, holder()), authority().anchors, pattern, AT).signer == CN


def test_another_signer_than_the_one_expected_is_refused() -> None:
    assert code(signed(LIST, holder()), signer="Liste Blanche*") == "signer"


def test_algorithms_that_are_not_expected_are_refused() -> None:
    method = b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    raw = signed(LIST, holder())
    assert method in raw
    assert code(raw.replace(method, b"http://www.w3.org/2000/09/xmldsig#rsa-sha1")) == "signature"
    assert code(raw.replace(method, b"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")) == "signature"
    assert code(signed(LIST, holder(), digest="SHA224")) == "signature"
    assert code(signed(LIST, holder(), method="RSA_SHA224")) == "signature"


def _wrapped(raw: bytes, *, signature_outside: bool) -> bytes:
    """Another list around the one that was signed: of this only what was signed may be read, or nothing."""
    original = etree.fromstring(raw)
    around = etree.fromstring(a_list("evil.fr"))
    signature = original[-1]
    assert signature.tag.endswith("}Signature")
    if signature_outside:
        around.append(signature)
    holder_of_it = etree.SubElement(around, f"{{{NAMESPACE}}}Autre")
    holder_of_it.append(original)
    return etree.tostring(around)


@pytest.mark.parametrize("signature_outside", [True, False])
def test_a_list_wrapped_around_a_signed_one_is_never_believed(signature_outside: bool) -> None:
    by_id = LIST.replace(b"<ListeBlancheMSSante ", b'<ListeBlancheMSSante Id="liste" ')
    for raw in (signed(LIST, holder()), signed(by_id, holder(), reference_uri="liste")):
        try:
            found = signed_part(_wrapped(raw, signature_outside=signature_outside), authority().anchors, None, AT)
        except ListRefused:
            continue
        assert names(found.raw) == names(LIST)


def test_a_signature_of_something_else_in_the_file_is_refused() -> None:
    """Only a part is signed, and the list is not in it."""
    raw = LIST.replace(b"</ListeBlancheMSSante>", b'<Note Id="note">rien</Note></ListeBlancheMSSante>')
    assert code(signed(raw, holder(), reference_uri="note")) == "signature"


# --- what the setting demands


def judged(raw: bytes, **wanted: str) -> tuple[str, str]:
    try:
        found = judge(raw, Membership.model_validate(wanted), lambda: authority().anchors, AT)
    except ListRefused as error:
        return "refused", error.code
    return found.seal, found.signer


@pytest.mark.parametrize(
    ("setting", "raw", "said"),
    [
        ("when_present", "none", ("absent", "")),
        ("when_present", "good", ("verified", CN)),
        ("when_present", "bad", ("refused", "signature")),
        ("required", "none", ("refused", "unsigned")),
        ("required", "good", ("verified", CN)),
        ("required", "bad", ("refused", "signature")),
        ("off", "none", ("unchecked", "")),
        ("off", "good", ("unchecked", "")),
        ("off", "bad", ("unchecked", "")),
    ],
)
def test_what_the_setting_asks_of_a_signature(setting: str, raw: str, said: tuple[str, str]) -> None:
    good = signed(LIST, holder())
    raws = {"none": LIST, "good": good, "bad": good.replace(b"cd12.", b"cd13.")}
    assert judged(raws[raw], signature=setting) == said


def test_a_copy_cut_before_its_signature_is_unsigned() -> None:
    cut = LIST[: LIST.index(b"</ListeBlancheMSSante>")]
    assert judged(cut, signature="when_present") == ("absent", "")
    assert judged(cut, signature="required") == ("refused", "unsigned")


def test_authorities_that_cannot_be_read_prove_nothing() -> None:
    def broken() -> tuple[bytes, ...]:
        raise Misconfigured("no file")

    with pytest.raises(ListRefused) as refused:
        judge(signed(LIST, holder()), Membership(), broken, AT)
    assert refused.value.code == "no-anchors"
