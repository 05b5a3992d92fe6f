"""The certificates that sign: every form that is delivered is read, and whatever is wrong is said in plain French."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.alerts import of_certificates
from hub.errors import Awaited, Misconfigured, Temporary
from hub.settings import Endpoint, Mailbox, Operator, Secret, Settings, Signatures, Signing, Site
from hub.smime.signing import Signer, sign
from hub.trust.inventory import Inventory
from hub.trust.signing import SigningKey, load_anchors, load_signing_key
from hub.wiring.signers import LiveSigners, load_signers
from tests.quiet import password
from tests.signers import AT, AUTHOR, ENTITY, Authority, Holder, self_signed

PASSWORD = password("motdepasse-fictif-p12")

RSA, EC = Authority("rsa"), Authority("ec")
SIGNER, CURVE = RSA.signer(), EC.signer()
DAY = timedelta(days=1)


def written(folder: Path, holder: Holder, name: str = "a", chain: bytes | None = None) -> Secret:
    """Certificate and chain in one PEM, the key in another."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(holder.certificate_pem + (holder.above_pem if chain is None else chain))
    key.write_bytes(holder.key_pem)
    return Secret(file=certificate, key_file=key)


def refused(load: Callable[[], object]) -> str:
    with pytest.raises(Misconfigured) as caught:
        load()
    return caught.value.private


# --- the files


@pytest.mark.parametrize("holder", [SIGNER, CURVE], ids=["rsa", "ec"])
def test_pem_files_give_a_signer(tmp_path: Path, holder: Holder) -> None:
    key = load_signing_key(written(tmp_path, holder))
    signer: Signer = key  # what `hub.smime` asks for
    assert (key.certificates, key.kind) == (holder.certificates, holder.kind)
    assert sign(ENTITY, signer, AT, "=_b").startswith(b"Content-Type: multipart/signed")
    assert "PRIVATE" not in repr(key)
    assert "Key object" not in repr(key)


def test_one_pem_holds_everything_in_any_order_of_the_authorities(tmp_path: Path) -> None:
    file = tmp_path / "tout.pem"
    file.write_bytes(SIGNER.key_pem + SIGNER.certificate_pem + RSA.root_pem + SIGNER.above_pem)
    assert load_signing_key(Secret(file=file)).certificates == SIGNER.certificates  # the root does not travel


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-legacy",),
        ("-legacy", "-keypbe", "PBE-SHA1-RC2-40", "-certpbe", "PBE-SHA1-RC2-40"),
        ("-legacy", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"),
    ],
    ids=" ".join,
)
def test_pkcs12_is_read_with_the_ciphers_of_old_too(tmp_path: Path, options: tuple[str, ...]) -> None:
    secret = packed(tmp_path, SIGNER, *options)
    assert load_signing_key(secret).certificates == SIGNER.certificates


def packed(folder: Path, holder: Holder, *options: str) -> Secret:
    made = written(folder, holder)
    assert made.key_file is not None
    (folder / "motdepasse").write_text(f"{PASSWORD}\n", encoding="utf-8")
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-in", made.file, "-inkey", made.key_file, "-out", folder / "a.p12",
         "-passout", f"pass:{PASSWORD}", *options],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return Secret(file=folder / "a.p12", password_file=folder / "motdepasse")


def test_the_chain_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = written(tmp_path, SIGNER, chain=b"")
    assert "il manque le certificat de l'autorité" in refused(lambda: load_signing_key(secret))
    (tmp_path / "chaine.pem").write_bytes(SIGNER.above_pem + RSA.root_pem)
    assert load_signing_key(secret, tmp_path / "chaine.pem").certificates == SIGNER.certificates


def test_an_authority_of_the_same_name_is_not_the_one_that_issued_it(tmp_path: Path) -> None:
    namesake = Authority("rsa")
    secret = written(tmp_path, SIGNER, chain=namesake.intermediate.certificate_pem)
    assert "il manque le certificat de l'autorité" in refused(lambda: load_signing_key(secret))


def test_what_is_wrong_with_the_files_is_said_in_french(tmp_path: Path) -> None:
    good, other = written(tmp_path, SIGNER), written(tmp_path, CURVE, "autre")
    p12 = packed(tmp_path, SIGNER)
    (tmp_path / "vide").write_bytes(b"")
    (tmp_path / "faux").write_text("faux\n", encoding="utf-8")
    alone = written(tmp_path, self_signed(), "seul")
    cases = [
        (Secret(file=tmp_path / "absent.p12"), "absent.p12:1 - ce fichier ne peut pas être lu"),
        (Secret(file=tmp_path / "vide"), "le mot de passe est faux, ou ce fichier n'est pas un PKCS#12"),
        (Secret(file=p12.file), "le mot de passe est faux"),
        (Secret(file=p12.file, password_file=tmp_path / "faux"), "le mot de passe est faux"),
        (Secret(file=good.file), "a.pem:1 - la clé privée manque"),
        (Secret(file=good.file, key_file=other.key_file), "autre.key:1 - la clé privée n'est pas celle du certificat"),
        (Secret(file=good.key_file or Path(), key_file=good.key_file), "ne contient pas de certificat"),
        (alone, "s'est signé lui-même"),
    ]
    for secret, message in cases:
        told = refused(lambda secret=secret: load_signing_key(secret))  # type: ignore[misc]
        assert message in told
        assert "BEGIN" not in told


def test_anchors_come_from_a_file_or_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "ac"
    folder.mkdir()
    (folder / "racine.pem").write_bytes(RSA.root_pem)
    (folder / "autre.cer").write_bytes(EC.root.der)
    (folder / "lisez-moi.txt").write_text("rien", encoding="utf-8")
    assert set(load_anchors(folder)) == {RSA.root.der, EC.root.der}
    assert load_anchors(folder / "racine.pem") == (RSA.root.der,)
    (tmp_path / "vide").mkdir()
    assert "aucun certificat d'autorité" in refused(lambda: load_anchors(tmp_path / "vide"))
    (folder / "casse.crt").write_bytes(b"casse")
    assert "casse.crt:1 - ce fichier n'est pas un certificat lisible" in refused(lambda: load_anchors(folder))


# --- fit for the mailbox, now and later


def site(tmp_path: Path, signing: Signing, signatures: Signatures = Signatures()) -> Settings:
    end = Endpoint(host="h", port=1, tls="implicit")
    operator = Operator(name="op", imap=end, smtp=end, ca_file=tmp_path, sasl="none")
    box = Mailbox(name="secretariat", address=AUTHOR, operator="op", signing=signing)
    return Settings(
        site=Site(product_reference="ESSAI"), operators=(operator,), mailboxes=(box,), signatures=signatures
    )


def of(tmp_path: Path, holder: Holder, *, at: datetime = AT, address_required: bool = True) -> tuple[str, ...]:
    """The warnings; raises what is wrong."""
    signing = Signing(certificate=written(tmp_path, holder), address_required=address_required)
    return load_signers(site(tmp_path, signing), at).warnings


def test_a_right_certificate_signs_for_its_mailbox_alone(tmp_path: Path) -> None:
    signers = load_signers(site(tmp_path, Signing(certificate=written(tmp_path, SIGNER))), AT)
    key = signers.of("secretariat", AT)
    assert isinstance(key, SigningKey)
    assert key.certificates == SIGNER.certificates
    assert signers.of("autre", AT) is None
    assert signers.of(None, AT) is None
    assert signers.warnings == ()
    with pytest.raises(Temporary, match="has ended"):
        signers.of("secretariat", SIGNER.certificate.not_valid_after_utc + DAY)


@pytest.mark.parametrize(
    ("holder", "at", "message"),
    [
        (RSA.signer(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), AT, "n'est pas prévu pour signer des courriels"),
        (RSA.signer(signs=False), AT, "n'est pas prévu pour signer des courriels"),
        (RSA.signer(is_authority=True), AT, "n'est pas prévu pour signer des courriels"),
        (SIGNER, AT + 999 * DAY, "a expiré le 15/06/2027"),
        (SIGNER, AT - 999 * DAY, "n'est valable qu'à partir du 15/06/2025"),
        (RSA.signer("autre@exemple.mssante.fr"), AT, "est celui de autre@exemple.mssante.fr, la boîte est " + AUTHOR),
        (RSA.signer(""), AT, "ne porte aucune adresse"),
    ],
)
def test_a_certificate_that_is_not_fit_is_refused_at_start(
    tmp_path: Path, holder: Holder, at: datetime, message: str
) -> None:
    told = refused(lambda: of(tmp_path, holder, at=at))
    assert message in told
    assert told.startswith(str(tmp_path / "a.pem") + ":1 - boîte secretariat : ")


def test_the_certificate_of_an_organisation_is_taken_with_a_warning_when_the_site_says_so(tmp_path: Path) -> None:
    warnings = of(tmp_path, RSA.signer(""), address_required=False)
    assert len(warnings) == 1
    assert "ne porte aucune adresse" in warnings[0]


def test_a_purpose_of_the_site_is_taken(tmp_path: Path) -> None:
    holder = RSA.signer(purposes=(x509.ObjectIdentifier("1.2.250.1.71.1.2.3"),))
    settings = site(
        tmp_path,
        Signing(certificate=written(tmp_path, holder)),
        Signatures(purposes=("1.3.6.1.5.5.7.3.4", "1.2.250.1.71.1.2.3")),
    )
    assert load_signers(settings, AT).of("secretariat", AT) is not None


def test_a_chain_that_leads_elsewhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "ancres.pem").write_bytes(EC.root_pem)
    settings = site(
        tmp_path, Signing(certificate=written(tmp_path, SIGNER)), Signatures(anchors=tmp_path / "ancres.pem")
    )
    (warning,) = load_signers(settings, AT).warnings
    assert "ne remonte à aucune des autorités de signatures.anchors" in warning


def test_the_next_certificate_takes_over_when_the_other_ends(tmp_path: Path) -> None:
    ends = SIGNER.certificate.not_valid_after_utc
    following = RSA.signer(not_before=AT - DAY, not_after=AT + 900 * DAY)
    signing = Signing(certificate=written(tmp_path, SIGNER), next=written(tmp_path, following, "suivant"))
    signers = load_signers(site(tmp_path, signing), AT)
    assert [signs(signers.of("secretariat", at)) for at in (AT, ends - DAY, ends, ends + DAY)] == [
        SIGNER.der, SIGNER.der, following.der, following.der,
    ]  # fmt: skip


def signs(key: SigningKey | None) -> bytes:
    assert key is not None
    return key.certificates[0]


def test_the_next_certificate_takes_over_on_the_day_that_is_set(tmp_path: Path) -> None:
    following = RSA.signer(not_before=AT - DAY, not_after=AT + 900 * DAY)
    day = date(2026, 9, 1)
    signing = Signing(
        certificate=written(tmp_path, SIGNER), next=written(tmp_path, following, "suivant"), next_from=day
    )
    signers = load_signers(site(tmp_path, signing), AT)
    at_midnight_in_paris = datetime.fromisoformat("2026-09-01T00:00:00+02:00")
    assert signs(signers.of("secretariat", at_midnight_in_paris - timedelta(seconds=1))) == SIGNER.der
    assert signs(signers.of("secretariat", at_midnight_in_paris)) == following.der


def test_once_the_next_has_taken_over_the_first_may_be_expired(tmp_path: Path) -> None:
    following = RSA.signer(not_before=AT - DAY, not_after=AT + 900 * DAY)
    old = RSA.signer(not_after=AT - DAY)
    signing = Signing(certificate=written(tmp_path, old), next=written(tmp_path, following, "suivant"))
    assert signs(load_signers(site(tmp_path, signing), AT).of("secretariat", AT)) == following.der


def test_a_next_certificate_that_leaves_a_gap_is_refused(tmp_path: Path) -> None:
    late = RSA.signer(not_before=SIGNER.certificate.not_valid_after_utc + DAY, not_after=AT + 900 * DAY)
    signing = Signing(certificate=written(tmp_path, SIGNER), next=written(tmp_path, late, "suivant"))
    told = refused(lambda: load_signers(site(tmp_path, signing), AT))
    assert "suivant.pem:1 - boîte secretariat : ce certificat de signature n'est valable qu'à partir du" in told


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    bad = RSA.signer("autre@exemple.mssante.fr", signs=False)
    told = refused(lambda: of(tmp_path, bad, at=AT + 999 * DAY)).splitlines()
    assert len(told) == 3


# --- told before they end


def alerts(settings: Settings, at: datetime) -> list[tuple[str, str, bool]]:
    items = Inventory(settings).certificates(at)
    return [(alert.code, alert.subject, alert.is_urgent) for alert in of_certificates(settings, items, at)]


def test_a_signing_certificate_is_told_before_it_ends_and_when_it_has(tmp_path: Path) -> None:
    settings = site(tmp_path, Signing(certificate=written(tmp_path, SIGNER)))
    ends = SIGNER.certificate.not_valid_after_utc
    assert alerts(settings, AT) == []
    assert alerts(settings, ends - 3 * DAY) == [("certificate-ends-soon", "signing secretariat", False)]
    assert alerts(settings, ends + DAY) == [("certificate-expired", "signing secretariat", True)]
    (alert,) = of_certificates(settings, Inventory(settings).certificates(ends + DAY), ends + DAY)
    assert "les destinataires refusent les signatures" in alert.text


def test_with_the_next_one_in_place_nothing_is_told(tmp_path: Path) -> None:
    ends = SIGNER.certificate.not_valid_after_utc
    following = RSA.signer(not_before=ends - DAY, not_after=ends + 900 * DAY)
    signing = Signing(certificate=written(tmp_path, SIGNER), next=written(tmp_path, following, "suivant"))
    settings = site(tmp_path, signing)
    assert alerts(settings, AT) == []
    assert alerts(settings, ends + DAY) == []


# --- while the hub runs


def signing_of(tmp_path: Path, current: Holder, following: Holder | None = None) -> Settings:
    nexts = written(tmp_path, following, "suivant") if following is not None else None
    return site(tmp_path, Signing(certificate=written(tmp_path, current), next=nexts))


def test_a_certificate_that_is_replaced_signs_at_once_and_what_waited_goes(tmp_path: Path) -> None:
    signers = LiveSigners(signing_of(tmp_path, RSA.signer(not_after=AT - DAY)))
    with pytest.raises(Awaited):
        signers.of("secretariat", AT)
    written(tmp_path, SIGNER)
    assert signs(signers.of("secretariat", AT)) == SIGNER.der
    assert signers.of("autre", AT) is None
    (tmp_path / "a.pem").unlink()
    with pytest.raises(Awaited, match="cannot be used"):
        signers.of("secretariat", AT)


def test_a_next_one_that_is_wrong_stops_nothing_before_its_day_and_serves_once_it_is_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = SIGNER.certificate.not_valid_after_utc
    late = RSA.signer(not_before=ends + 2 * DAY, not_after=ends + 900 * DAY)
    signers = LiveSigners(signing_of(tmp_path, SIGNER, late))
    assert signs(signers.of("secretariat", AT)) == SIGNER.der
    assert "suivant.pem:1 - boîte secretariat : ce certificat de signature n'est valable qu'à partir du" in caplog.text
    with pytest.raises(Awaited):
        signers.of("secretariat", ends + DAY)
    assert signs(signers.of("secretariat", ends + 3 * DAY)) == late.der
    assert caplog.text.count("n'est valable qu'à partir du") <= 2


def test_once_the_first_is_gone_the_next_one_signs(tmp_path: Path) -> None:
    following = RSA.signer(not_before=AT - DAY, not_after=AT + 900 * DAY)
    settings = signing_of(tmp_path, SIGNER, following)
    (tmp_path / "a.pem").unlink()
    assert signs(LiveSigners(settings).of("secretariat", AT)) == following.der


def test_what_is_wrong_with_one_mailbox_stops_no_other(tmp_path: Path) -> None:
    settings = signing_of(tmp_path, SIGNER)
    wrong = settings.mailboxes[0].model_copy(
        update={"name": "autre", "signing": Signing(certificate=Secret(file=tmp_path / "absent.p12"))}
    )
    signers = LiveSigners(settings.model_copy(update={"mailboxes": (wrong, *settings.mailboxes)}))
    signers.look(AT)
    assert signs(signers.of("secretariat", AT)) == SIGNER.der
    with pytest.raises(Awaited):
        signers.of("autre", AT)
