"""What is it: the order of RH-30, the 43 kinds, and when the hub says that it does not know."""

from __future__ import annotations

import time

import pytest

from hub.message import Attachment, Coded, Header, MessageClass, ParsedMessage, Report
from hub.routing.classify import classify, message_class_of
from hub.routing.words import TEXT_MOST, phrase, tokens
from tests.unit.routing_samples import document, mail, pdf, rulebook

CATALOGUE = rulebook().catalogue


def kind_and_confidence(parsed: ParsedMessage, threshold: float = 0.6) -> tuple[str | None, float]:
    classification, _ = classify(parsed, CATALOGUE, threshold)
    return classification.kind, classification.confidence


def class_of(parsed: ParsedMessage) -> MessageClass:
    return message_class_of(parsed)[0]


# --- the sort of mail ---------------------------------------------------------------------------------------------


def test_a_receipt_whose_subject_is_that_of_a_document_is_a_receipt() -> None:
    parsed = mail(
        document(),
        subject="XDM/1.0/DDM+Lettre de liaison MARTINEAU Lou 14/03/2015",
        report=Report(form="mdn", disposition="processed"),
    )
    assert class_of(parsed) is MessageClass.MDN


def test_a_bounce_that_returns_an_archive_is_a_bounce() -> None:
    parsed = mail(document(), report=Report(form="dsn", action="failed"))
    assert class_of(parsed) is MessageClass.DSN


def test_a_report_that_nobody_could_read_is_known_by_its_content_type() -> None:
    header = Header("Content-Type", 'multipart/report; report-type="disposition-notification"; boundary=x')
    assert class_of(mail(content_type="multipart/report", headers=(header,))) is MessageClass.MDN
    header = Header("Content-Type", "multipart/report; report-type=delivery-status; boundary=x")
    assert class_of(mail(content_type="multipart/report", headers=(header,))) is MessageClass.DSN


@pytest.mark.parametrize(
    "subject",
    ["Undelivered Mail Returned to Sender", "Message non distribué", "Delivery Status Notification (Failure)",
     "Notification d’état de remise", "Échec de la remise : pièce", "Returned mail: see transcript for details"],
)  # fmt: skip
def test_a_bounce_without_report_is_known_by_its_subject(subject: str) -> None:
    assert class_of(mail(subject=subject, return_path="")) is MessageClass.DSN


def test_a_human_who_forwards_a_bounce_writes_a_message() -> None:
    assert class_of(mail(subject="TR: Undelivered Mail Returned to Sender")) is MessageClass.TEXT


def test_a_document_whose_subject_looks_like_a_bounce_stays_a_document() -> None:
    assert class_of(mail(document(), subject="Non remis en main propre : lettre de liaison")) is MessageClass.XDM


@pytest.mark.parametrize(
    "subject", ["[KO Intégration système !][902] XDM/1.0/DDM+x", "[Erreur d’intégration !][902] XDM/1.0/DDM+x"]
)
def test_an_integration_report_by_ordinary_mail_is_not_a_document(subject: str) -> None:
    assert class_of(mail(document(), subject=subject)) is MessageClass.MDN


def test_an_automatic_reply_is_known_even_when_it_quotes_a_document() -> None:
    assert class_of(mail(document(), auto_submitted="auto-replied; owner-email=x")) is MessageClass.AUTO_REPLY


def test_software_that_sends_documents_by_itself_sends_documents() -> None:
    assert class_of(mail(document(), auto_submitted="auto-generated")) is MessageClass.XDM
    assert class_of(mail(auto_submitted="auto-generated")) is MessageClass.AUTO_REPLY


def test_news_that_a_machine_writes_by_itself_are_not_closed_unread() -> None:
    """RFC 3834: auto-generated is no reply; a portal says so of what nobody else will tell."""
    _, sureness, _ = message_class_of(mail(subject="Un document vous attend", auto_submitted="auto-generated"))
    assert sureness == 0.5
    _, sureness, _ = message_class_of(mail(subject="Réponse automatique : note", auto_submitted="auto-generated"))
    assert sureness == 1.0
    _, sureness, _ = message_class_of(mail(auto_submitted="auto-generated", in_reply_to="<1@x.fr>"))
    assert sureness == 1.0


def test_a_sender_who_wants_no_automatic_answer_writes_a_message() -> None:
    asks = (Header("X-Auto-Response-Suppress", "DR, OOF, AutoReply"),)
    assert class_of(mail(subject="Nouvelles de Lou", headers=asks)) is MessageClass.TEXT
    message_class, sureness, _ = message_class_of(mail(subject="Automatic reply: nouvelles", headers=asks))
    assert (message_class, sureness) == (MessageClass.AUTO_REPLY, 0.8)


@pytest.mark.parametrize("subject", ["Réponse automatique : absente", "Out of Office: on leave", "Absence du bureau"])
def test_an_absence_by_its_subject_alone_is_doubtful(subject: str) -> None:
    message_class, sureness, _ = message_class_of(mail(subject=subject))
    assert message_class is MessageClass.AUTO_REPLY
    assert sureness < 0.6


def test_a_document_with_the_subject_of_an_absence_stays_a_document() -> None:
    assert class_of(mail(pdf(), subject="Absence du bureau : justificatif")) is MessageClass.DOCUMENT


@pytest.mark.parametrize("name", ["X-Autoreply", "X-Auto-Reply", "X-Autorespond"])
def test_an_automatic_header_is_enough(name: str) -> None:
    assert class_of(mail(headers=(Header(name, "yes"),))) is MessageClass.AUTO_REPLY


def test_a_damaged_archive_is_still_an_archive() -> None:
    parsed = mail(document())
    broken = ParsedMessage(archives=(type(parsed.archives[0])(name="IHE_XDM.zip", attachment=1, sha256="0"),))
    assert class_of(broken) is MessageClass.XDM


def test_a_pdf_alone_is_a_document_and_words_alone_are_text() -> None:
    assert class_of(mail(pdf())) is MessageClass.DOCUMENT
    assert class_of(mail(body="Bonjour")) is MessageClass.TEXT
    leaf = Attachment(number=1, path="1", name=None, media_type="text/plain", size=1, sha256="0")
    assert class_of(mail(attachments=(leaf,))) is MessageClass.TEXT


def test_automatic_mail_has_no_kind() -> None:
    classification, verdicts = classify(mail(document(), auto_submitted="auto-replied"), CATALOGUE, 0.6)
    assert classification.kind is None
    assert verdicts == ()


# --- the kinds ----------------------------------------------------------------------------------------------------

# One document for each kind, in words of a secretary: (title, text).
SAMPLES = {
    "information_preoccupante": ("Information préoccupante", "transmise à la CRIP : éléments d'inquiétude"),
    "signalement_judiciaire": ("Signalement au procureur de la République", "danger grave et imminent, L. 226-4"),
    "rapport_evaluation_ip": (
        "Rapport d'évaluation",
        "suite à l'information préoccupante du 3 mars, visite à domicile",
    ),
    "retour_suites_ip": ("Suites données à votre information préoccupante", "classement sans suite"),
    "opp": ("Ordonnance de placement provisoire", "ordonnons le placement provisoire, exécution provisoire"),
    "jugement_assistance_educative": ("Jugement en assistance éducative", "en chambre du conseil, renouvelle l'AEMO"),
    "convocation_audience": ("Convocation à l'audience", "audience du 12 mai, consulter le dossier au greffe"),
    "soit_transmis": ("Soit-transmis", "le parquet vous prie de faire retour sous quinzaine"),
    "rapport_mjie_rrse": ("Rapport de MJIE", "mesure d'investigation éducative confiée à l'UEMO"),
    "demande_accueil": ("Demande d'accueil", "recherche de place en MECS, profil de l'enfant"),
    "reponse_admission": ("Réponse à votre demande d'admission", "nous ne pouvons donner suite : liste d'attente"),
    "pieces_admission": ("Dossier d'admission", "fiche de renseignements, livret de famille, carte vitale"),
    "contrat_accueil_provisoire": ("Contrat d'accueil provisoire", "accord des représentants légaux, L222-5"),
    "notification_changement_lieu": ("Notification de changement de lieu d'accueil", "opposition dans un délai"),
    "fiche_navette": ("Fiche navette ASE", "demande formulée par l'éducatrice ; avis du référent ; visa du cadre"),
    "protocole_actions": ("Protocole d'actions", "qui fait quoi, échéance, responsable de l'action"),
    "ppe": ("Projet pour l'enfant", "besoins fondamentaux, actes usuels, L. 223-1-1"),
    "dipc": ("Document individuel de prise en charge", "prestations, livret d'accueil"),
    "projet_personnalise": ("Projet personnalisé d'accompagnement", "objectifs d'accompagnement, avis du jeune"),
    "rapport_situation": ("Rapport de situation", "évolution, relations familiales, préconisations"),
    "rapport_echeance": ("Rapport d'échéance", "renouvellement proposé en vue de l'audience"),
    "note_information": ("Note d'information", "à l'attention du juge des enfants : fait nouveau"),
    "note_incident": ("Note d'incident", "faits, chronologie, personnes prévenues"),
    "evenement_indesirable_grave": ("Signalement d'événement indésirable grave", "L331-8-1, mesures prises"),
    "declaration_fugue": ("Déclaration de fugue", "tenue vestimentaire, gendarmerie prévenue"),
    "autorisation_soins": ("Autorisation d'opérer", "intervention chirurgicale sous anesthésie, je soussigné"),
    "autorisation_acte": ("Autorisation parentale", "j'autorise la baignade, droit à l'image"),
    "calendrier_visites": ("Calendrier de visites", "visite médiatisée à l'espace rencontre"),
    "cr_reunion": ("Compte rendu de réunion", "présents, excusés, ordre du jour"),
    "bilan_sante": ("Bilan de santé", "vaccins à jour, vision, audition"),
    "cr_medical": ("Compte rendu d'hospitalisation", "antécédents, traitement de sortie"),
    "prescription": ("Ordonnance", "posologie : un comprimé matin et soir, 500 mg"),
    "bilan_psy": ("Bilan psychologique", "WISC, anamnèse"),
    "certificat_medical": ("Certificat médical", "je soussigné docteur, apte à la pratique du judo"),
    "pai_urgence": ("Projet d'accueil individualisé", "allergie, trousse d'urgence, adrénaline"),
    "notification_mdph": ("Notification MDPH", "décision de la CDAPH, AESH accordée"),
    "document_scolaire": ("Bulletin scolaire", "deuxième trimestre, professeur principal"),
    "courrier_parents": ("Courrier aux parents", "merci de nous rendre le coupon-réponse"),
    "piece_financiere": ("Facture", "prix de journée, montant, IBAN"),
    "demande_acces_dossier": ("Demande d'accès au dossier", "ancien enfant placé, CADA"),
    "bilan_fin_accompagnement": ("Bilan de fin d'accompagnement", "date de sortie, points de vigilance"),
    "contrat_jeune_majeur": ("Contrat jeune majeur", "pécule, logement, majorité"),
    "indetermine": ("Menu de la cantine", "lundi : carottes râpées"),
}


def test_each_kind_of_the_catalogue_has_a_sample() -> None:
    assert set(SAMPLES) == set(CATALOGUE.kinds)
    assert len(SAMPLES) == 43


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_kind_is_recognised_by_its_words(kind: str) -> None:
    title, text = SAMPLES[kind]
    found, confidence = kind_and_confidence(mail(pdf(title=title, text=text)))
    if kind == "indetermine":
        assert found is None
    else:
        assert found == kind
        assert confidence >= 0.6


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if CATALOGUE.kinds[kind].carrier_codes])
def test_a_general_code_leaves_the_choice_to_words(kind: str) -> None:
    """28653-4 « Document du secteur social / médico-social » names no kind by itself (mssante.md §4.7)."""
    code = "28653-4" if "28653-4" in CATALOGUE.kinds[kind].carrier_codes else min(CATALOGUE.kinds[kind].carrier_codes)
    title, text = SAMPLES[kind]
    assert kind_and_confidence(mail(document(code=code, title=title, text=text)))[0] == kind


def test_a_general_code_without_words_gives_no_kind() -> None:
    assert kind_and_confidence(mail(document(code="28653-4", title="Document")))[0] is None


def test_a_general_code_bars_the_kinds_that_never_travel_under_it() -> None:
    parsed = mail(document(code="28653-4", title="Ordonnance", text="posologie : un comprimé, 500 mg"))
    assert kind_and_confidence(parsed)[0] != "prescription"


def test_a_declared_code_goes_before_words() -> None:
    parsed = mail(document(code="57833-6", title="Rapport de situation"))
    assert kind_and_confidence(parsed) == ("prescription", 0.95)


def test_a_code_that_two_kinds_share_is_decided_by_the_title() -> None:
    assert (
        kind_and_confidence(mail(document(code="80771-9", title="Projet d'accueil individualisé")))[0] == "pai_urgence"
    )
    assert kind_and_confidence(mail(document(code="80771-9", title="Protocole d'actions", text="qui fait quoi")))[
        0
    ] == ("protocole_actions")
    assert kind_and_confidence(mail(document(code="80771-9", title="Document")))[0] == "pai_urgence"


def test_words_change_no_verdict_on_a_code_that_leaves_no_choice() -> None:
    known = {*CATALOGUE.by_code, *CATALOGUE.by_carrier, "REMB"}
    text = " ".join(phrase.shown for phrase in CATALOGUE.weighed)
    changed = {
        code
        for code in known
        if kind_and_confidence(mail(document(code=code, title="", text=text)))
        != kind_and_confidence(mail(document(code=code, title="", text="")))
    }
    assert changed <= CATALOGUE.worded < known
    assert CATALOGUE.worded >= {"28653-4", "80771-9"}


def test_a_code_without_kind_is_not_overruled_by_words() -> None:
    classification, _ = classify(mail(document(code="REMB", title="Facture")), CATALOGUE, 0.6)
    assert classification.kind is None
    assert "type-code-without-kind" in {reason.code for reason in classification.reasons}


# --- SC03: judge or doctor ----------------------------------------------------------------------------------------

COURT = "Tribunal judiciaire. Nous, juge des enfants, ordonnons le placement provisoire de l'enfant."
DOCTOR = "Docteur Exemple, RPPS 10000000000. Ordonnance. Posologie : 1 comprimé de 500 mg matin et soir."


@pytest.mark.parametrize("name", ["ordonnance.pdf", "scan_0001.pdf", "prescription.pdf", "OPP.pdf"])
def test_an_order_of_the_judge_is_one_whatever_its_file_is_called(name: str) -> None:
    assert kind_and_confidence(mail(pdf(name=name, text=COURT)))[0] == "opp"
    assert CATALOGUE.urgency("opp") == "P0"


@pytest.mark.parametrize("name", ["ordonnance.pdf", "scan_0001.pdf", "ordonnance_placement_provisoire.pdf", "OPP.pdf"])
def test_a_prescription_is_one_whatever_its_file_is_called(name: str) -> None:
    assert kind_and_confidence(mail(pdf(name=name, text=DOCTOR)))[0] == "prescription"
    assert kind_and_confidence(mail(document(code="57833-6", name=name, text=DOCTOR)))[0] == "prescription"


@pytest.mark.parametrize(("name", "text", "kind"), [("prescription", COURT, "opp"), ("OPP", DOCTOR, "prescription")])
def test_the_title_that_a_loose_file_takes_from_its_name_is_but_a_name(name: str, text: str, kind: str) -> None:
    """SC03 on what the reader really gives: swapping two file names swaps no verdict."""
    assert kind_and_confidence(mail(pdf(name=f"{name}.pdf", title=name, text=text)))[0] == kind
    assert kind_and_confidence(mail(pdf(name=f"{name}.pdf", title=name)))[0] is None


def test_a_scan_without_text_is_known_by_the_mail_around_it() -> None:
    body = "Nous ordonnons le placement provisoire de l'enfant."
    assert kind_and_confidence(mail(pdf(name="ordonnance.pdf"), body=body))[0] == "opp"


def test_the_word_ordonnance_alone_decides_nothing() -> None:
    assert kind_and_confidence(mail(pdf(name="ordonnance.pdf")))[0] is None


# --- knowing what one does not know -------------------------------------------------------------------------------


def test_a_title_that_other_trades_use_needs_a_second_sign() -> None:
    alone, confidence = kind_and_confidence(mail(pdf(title="Fiche navette")))
    assert (alone, confidence) == (None, 0.5)
    assert kind_and_confidence(mail(document(code="28653-4", title="Fiche navette")))[0] == "fiche_navette"
    assert kind_and_confidence(mail(pdf(title="Fiche navette", text="bon de commande Chorus")))[0] is None


def test_a_near_tie_gives_no_kind() -> None:
    classification, _ = classify(mail(pdf(title="Rapport de situation et certificat médical")), CATALOGUE, 0.1)
    assert classification.kind is None
    assert "near-tie" in {reason.code for reason in classification.reasons}


def test_the_site_sets_how_sure_is_sure_enough() -> None:
    parsed = mail(pdf(title="Note d'incident"))
    assert kind_and_confidence(parsed, threshold=0.6)[0] == "note_incident"
    assert kind_and_confidence(parsed, threshold=0.99)[0] is None


def test_each_verdict_tells_what_it_saw() -> None:
    classification, _ = classify(mail(pdf(title="Rapport de situation")), CATALOGUE, 0.6)
    assert any("« Rapport de situation » dans le titre" in reason.text for reason in classification.reasons)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Signalement de fugue", "declaration_fugue"),
        ("Demande d'admission", "demande_accueil"),
        ("Accueil provisoire jeune majeur", "contrat_jeune_majeur"),
        ("Lettre de liaison de sortie", "bilan_fin_accompagnement"),
        ("Ordonnance de placement provisoire", "opp"),
    ],
)
def test_a_word_inside_a_longer_title_says_nothing_by_itself(title: str, kind: str) -> None:
    found, confidence = kind_and_confidence(mail(pdf(title=title)))
    assert found == kind
    assert confidence >= 0.75


def test_an_acronym_counts_in_capitals_only() -> None:
    assert kind_and_confidence(mail(pdf(title="OPP")))[0] == "opp"
    assert kind_and_confidence(mail(pdf(title="opp")))[0] is None


def test_words_are_whole() -> None:
    assert kind_and_confidence(mail(pdf(title="Réfacturesque")))[0] is None


def test_a_mail_with_one_unknown_document_has_no_kind() -> None:
    known, unknown = document(code="57833-6"), pdf(title="Menu")
    assert kind_and_confidence(mail(known, unknown))[0] is None


def test_a_mail_with_two_kinds_takes_the_more_urgent() -> None:
    prescription = document(code="57833-6")
    order = document(code="28653-4", title="Ordonnance de placement provisoire", unique_id="2")
    assert kind_and_confidence(mail(prescription, order))[0] == "opp"


def test_a_disagreeing_codecda_header_is_told_and_the_document_wins() -> None:
    parsed = mail(document(code="57833-6"), headers=(Header("X-MSS-CODECDA", "11490-0"),))
    classification, _ = classify(parsed, CATALOGUE, 0.6)
    assert classification.kind == "prescription"
    assert "codecda-differs" in {reason.code for reason in classification.reasons}
    agreeing = mail(document(code="57833-6"), headers=(Header("X-MSS-CODECDA", "57833-6"),))
    assert "codecda-differs" not in {reason.code for reason in classify(agreeing, CATALOGUE, 0.6)[0].reasons}


def test_a_known_writer_adds_to_the_words_and_is_no_sign_alone() -> None:
    from dataclasses import replace

    known = replace(CATALOGUE, senders=(("*@hopital-exemple.mssante.fr", "professionnel_sante"),))
    parsed = mail(pdf(title="Ordonnance"))
    with_hint, without = classify(parsed, known, 0.6)[0], classify(parsed, CATALOGUE, 0.6)[0]
    assert with_hint.confidence > without.confidence
    assert classify(mail(pdf(title="Menu")), known, 0.6)[0].kind is None


# --- words --------------------------------------------------------------------------------------------------------


def test_words_lose_accents_case_and_elisions() -> None:
    assert [word.lower() for word in tokens("L’Arrêté d'admission à l'ASE, ŒUVRE n°2")] == [
        "arrete", "admission", "a", "ase", "oeuvre", "n", "2",
    ]  # fmt: skip


def test_an_article_of_law_is_found_however_it_is_written() -> None:
    assert tokens("L. 223-5") == tokens("L223-5") == tokens("L 223-5")


def test_a_phrase_without_a_word_is_none() -> None:
    assert phrase("— …") is None


def test_a_long_hostile_text_is_read_in_no_time() -> None:
    """libs.md §10, row 28: no loop may stop the hub for more than 100 ms; several times that for slow machines."""
    for text in ("l'" * 200_000, "fiche navette " * 50_000, "a" * 1_000_000, "ordonnance de placement " * 50_000):
        started = time.process_time()
        classify(mail(pdf(title=text, text=text, name=text), subject=text, body=text), CATALOGUE, 0.6)
        assert time.process_time() - started < 3
    assert len(tokens("a " * 1_000_000)) <= TEXT_MOST


def test_a_coded_type_without_a_code_is_like_none() -> None:
    parsed = mail(document(type_code=Coded(""), title="Rapport de situation"))
    assert kind_and_confidence(parsed)[0] == "rapport_situation"


# Titles and texts that sound like a kind and are none: one word out of place, papers of other trades.
NEIGHBOURS = [
    ("Plan d'actions qualité", "Amélioration continue : objectifs, indicateur, échéance, responsable de l'action"),
    ("Ordonnance du juge aux affaires familiales", "Fixons la résidence chez la mère, droit de visite du père"),
    ("Ordonnance de protection", "violences conjugales, interdiction de contact"),
    ("Votre placement", "Votre placement provisoire arrive à échéance, livret, taux"),
    ("Rendez-vous à l'hôpital", "Apportez votre carte vitale"),
    ("Convocation", "Épreuves du brevet, salle 12"),
    ("Convocation", "Assemblée générale ordinaire de l'association"),
    ("Signalement", "Nid de poule rue de la Gare"),
    ("Comptes 2025", "Rapport annuel du commissaire aux comptes"),
    ("Mémoire de fin d'études", "École de travail social, problématique"),
    ("Devis", "Suite à votre appel nous ne pouvons établir"),
    ("Bulletin de salaire", "Net à payer, cotisations"),
    ("Bulletin d'adhésion", "Association, cotisation"),
    ("Candidature", "Curriculum vitae, éducatrice, a rédigé des protocoles d'actions, projet pour l'enfant, OPP"),
    ("Formation OPP", "Programme de formation : ordonnance de placement provisoire, formateur"),
    ("Rapport de situation financière", "Bilan, trésorerie"),
    ("Bilan de santé du parc informatique", "Serveurs"),
    ("Projet personnalisé de voyage", "Hôtel, avion"),
    ("PROTOCOLE D'URGENCE INCENDIE", "Évacuer, point de rassemblement"),
    ("Avis d'audience prud'homale", "Bureau de conciliation"),
    ("Plan d'actions RSE", "objectifs, échéance, indicateur"),
    ("Notification de l'URSSAF", "Notification de décision, voies de recours"),
    ("Lettre d'information", "Le projet pour l'enfant, le rapport de situation, l'information préoccupante"),
]


@pytest.mark.parametrize(("title", "text"), NEIGHBOURS)
def test_a_paper_that_only_sounds_like_a_kind_has_none(title: str, text: str) -> None:
    assert kind_and_confidence(mail(pdf(name="scan.pdf", text=f"{title}\n{text}"), subject=title))[0] is None


@pytest.mark.parametrize(
    "title",
    [
        "Rapport de situation",
        "Rapport de situation Lou M.",
        "TR : rapport de situation du 12/03",
        "RAPPORT DE SITUATION",
    ],
)
def test_a_paper_called_by_its_whole_name_needs_no_second_sign(title: str) -> None:
    assert kind_and_confidence(mail(pdf(name="scan.pdf"), subject=title))[0] == "rapport_situation"


def test_one_phrase_in_a_text_is_no_proof_and_two_are() -> None:
    assert kind_and_confidence(mail(pdf(text="On a parlé du rapport de situation.")))[0] is None
    assert kind_and_confidence(mail(pdf(text="Rapport de situation. Préconisations.")))[0] == "rapport_situation"
