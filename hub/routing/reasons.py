"""What a French user reads for each code: what happened, what it means, what to do. Never a name, an INS or a content.

Codes are stable and in English: they may be logged and journaled, the sentences are for pages and terminals. A code
that has no sentence of its own (a newer reader, an older spool) still gives one that can be shown.
"""

from __future__ import annotations

from hub.domains import Members
from hub.message import Reason

_ASK_SENDER = "Demandez à l'expéditeur de le renvoyer."

_DEFECTS: dict[str, str] = {
    # the archive
    "bad-zip": f"L'archive jointe est abîmée et ne s'ouvre pas : le document n'a pas pu être lu. {_ASK_SENDER}",
    "bomb": "L'archive se déplie en un volume anormal : elle n'a pas été ouverte, par sécurité. Prévenez votre "
    "administrateur et demandez un autre envoi.",
    "too-many-entries": "L'archive contient trop de fichiers pour un envoi normal : elle n'a pas été ouverte. "
    "Demandez à l'expéditeur un envoi plus petit.",
    "unsafe-name": "L'archive contient un nom de fichier dangereux : elle n'a pas été ouverte, par sécurité. "
    "Prévenez votre administrateur.",
    "link": "L'archive contient un raccourci vers un autre fichier, ce qui est interdit : elle n'a pas été ouverte. "
    "Prévenez votre administrateur.",
    "duplicate-name": "Deux fichiers de l'archive portent le même nom : on ne sait pas lequel est le bon. "
    f"{_ASK_SENDER}",
    "encrypted": "L'archive est protégée par un mot de passe : le document n'a pas pu être lu. Demandez un envoi sans "
    "mot de passe, la messagerie est déjà sécurisée.",
    "no-metadata": "L'archive ne contient pas sa fiche descriptive : ce n'est pas un envoi de document de santé "
    "complet. Ouvrez la pièce jointe pour savoir de quoi il s'agit, ou demandez un nouvel envoi.",
    "not-xml": f"Un fichier de l'archive est illisible : le document n'a pas pu être compris. {_ASK_SENDER}",
    "doctype": "Un fichier de l'archive contient une déclaration interdite : il n'a pas été lu, par sécurité. "
    "Prévenez votre administrateur.",
    "not-xds": "La fiche descriptive de l'archive n'a pas la forme attendue : le document n'a pas été classé. "
    f"{_ASK_SENDER}",
    "no-document": f"L'archive ne contient aucun document. {_ASK_SENDER}",
    "missing-file": f"Un document annoncé par l'archive n'y est pas. {_ASK_SENDER}",
    "hash-differs": "Le contenu du document ne correspond pas à l'empreinte annoncée : il a pu être modifié ou abîmé. "
    f"Ne l'utilisez pas. {_ASK_SENDER}",
    "size-differs": "La taille du document ne correspond pas à celle annoncée : il a pu être tronqué. "
    f"Ne l'utilisez pas. {_ASK_SENDER}",
    "several-patients": "Le message concerne plusieurs personnes, alors qu'il doit n'en concerner qu'une : rien n'a "
    "été classé. Demandez un message par personne.",
    "patient-differs": "La fiche descriptive et le document ne désignent pas la même personne : rien n'a été classé. "
    "Comparez les deux identités, puis demandez une correction à l'expéditeur.",
    "id-differs": "Le document n'est pas celui que l'archive annonce (identifiants différents) : il n'a pas été "
    f"classé. {_ASK_SENDER}",
    "type-differs": "Le type annoncé par l'archive n'est pas celui du document. Lisez le document avant de le classer.",
    "date-differs": "La date annoncée par l'archive n'est pas celle du document. Lisez le document avant de le "
    "classer.",
    "bad-body": f"Le corps du document est illisible. {_ASK_SENDER}",
    "junk": "L'archive contient des fichiers parasites sans importance : ils ont été ignorés.",
    "uri-case": "Un nom de fichier de l'archive diffère par ses majuscules : le document a été retrouvé quand même.",
    "uri-absent": "L'archive ne dit pas quel fichier est le document : le seul présent a été retenu.",
    "unknown-code": "Le document porte un code absent des tables du hub : il est peut-être plus récent que ces "
    "tables. Rien à faire.",
    "ins-key": "La clé de l'INS est fausse : ce numéro ne peut pas être utilisé pour classer. Vérifiez l'identité "
    "auprès de l'expéditeur.",
    "ins-form": "L'INS n'a pas la forme attendue : il ne peut pas être utilisé pour classer. Vérifiez l'identité "
    "auprès de l'expéditeur.",
    "ins-sex": "Le sexe indiqué n'est pas celui que porte l'INS. Vérifiez l'identité avant d'utiliser le document.",
    "several-ins": "Le document porte plusieurs INS différents : on ne sait pas de qui il parle, rien n'a été classé. "
    "Demandez une correction à l'expéditeur.",
    "birth-place": "Le lieu de naissance n'est pas un code de commune ou de pays : il n'a pas été retenu.",
    "birth-after-creation": "La date de naissance est postérieure au document. Vérifiez l'identité avant usage.",
    "bad-date": "Une date du document n'est pas une date : elle n'a pas été retenue. Lisez le document avant usage.",
    "bad-version": "Le numéro de version du document n'est pas un nombre : l'ordre des versions n'est pas garanti.",
    "not-cda": f"Ce fichier XML n'est pas un document de santé (CDA) : il n'a pas été compris. {_ASK_SENDER}",
    "several-cda": f"Le fichier contient plusieurs documents à la fois : on ne sait pas lequel classer. {_ASK_SENDER}",
    "signed-document": "Le document est enveloppé dans une signature : il a été lu à l'intérieur. Rien à faire.",
    "self-presenting": "Le document porte sa propre mise en page : il a été lu à l'intérieur. Rien à faire.",
    "no-zone": "Une date du document ne dit pas son fuseau horaire : elle est affichée comme une heure locale.",
    "version-without-replaces": "Le document se dit nouvelle version sans nommer celle qu'il remplace. Vérifiez "
    "qu'il remplace bien la précédente.",
    "body-type": "Le format annoncé pour le corps du document n'est pas celui trouvé. Ouvrez-le pour vérifier.",
    "nul-flavor": "Une information du document est déclarée absente par l'expéditeur. Rien à faire si elle n'est "
    "pas utile.",
    "type-id": "Le document ne se dit pas tout à fait conforme à la norme (CDA R2). Rien à faire s'il est lisible.",
    "related-document": "Le document dit compléter ou transformer un autre document : il n'en remplace aucun.",
    "label-differs": "Le document donne à son type un autre nom que celui de la liste officielle. Lisez-le avant de le "
    "classer.",
    "name-form": "Le nom de naissance n'est pas écrit en capitales sans accents, comme le veut l'identité nationale. "
    "Comparez-le au dossier.",
    "author-empty": "Le document ne dit ni qui l'a écrit, ni pour quelle structure. Demandez-le à l'expéditeur si "
    "vous en avez besoin.",
    "custodian-unnamed": "Le document ne nomme pas la structure qui le conserve. Rien à faire.",
    "id-authority": "Un auteur ou un responsable du document n'a pas de numéro national. Rien à faire.",
    "id-form": "Le numéro national d'un auteur ou responsable du document n'a pas la forme attendue. Rien à faire.",
    # the mail
    "too-large": "Le message dépasse la taille que le hub sait lire : il est conservé entier sans avoir été ouvert. "
    "Lisez-le dans la messagerie, ou demandez un envoi en plusieurs fois.",
    "header-block-too-large": "L'en-tête du message est démesuré : il n'a pas été lu, par sécurité. Prévenez votre "
    "administrateur.",
    "header-too-large": "Une ligne d'en-tête du message est démesurée : il n'a pas été lu, par sécurité. Prévenez "
    "votre administrateur.",
    "too-many-parts": "Le message a trop de parties pour un envoi normal : il n'a pas été lu en entier. Prévenez "
    "votre administrateur.",
    "too-deep": "Le message contient trop de messages emboîtés : il n'a pas été lu en entier. Demandez un envoi "
    "direct de la pièce jointe.",
    "ambiguous-structure": "La structure du message peut se lire de deux façons : une pièce jointe a pu échapper au "
    "hub. Ouvrez le message dans la messagerie et vérifiez ses pièces jointes.",
    "bad-base64": "Une pièce jointe a été mal encodée par l'expéditeur : ouvrez-la pour vérifier qu'elle est entière.",
    "unknown-charset": "Un texte du message annonce un alphabet inconnu : des accents peuvent être faux.",
    "bad-charset": "Un texte du message n'est pas dans l'alphabet annoncé : des accents peuvent être faux.",
    "repeated-header": "Un en-tête figure deux fois dans le message : le premier a été retenu.",
    "bad-header": "Un en-tête du message est mal formé : il a été lu au mieux.",
    "truncated": f"Le message est incomplet, il a été coupé en route. {_ASK_SENDER}",
    "tnef-empty": "La pièce jointe winmail.dat ne contient rien que le hub sache lire. Demandez un envoi sans le "
    "format enrichi d'Outlook.",
    "tnef-unreadable": "La pièce jointe winmail.dat est illisible. Demandez un envoi sans le format enrichi d'Outlook.",
    "p7m-unreadable": f"Le message signé est illisible : son contenu n'a pas pu être extrait. {_ASK_SENDER}",
    "encrypted-message": "Le message est chiffré pour un autre destinataire : le hub ne peut pas le lire. Ouvrez-le "
    "avec la carte ou le logiciel prévu, ou demandez un envoi non chiffré.",
    "partial-message": "Le message n'est qu'un morceau d'un envoi coupé en plusieurs : il ne peut pas être lu seul. "
    "Demandez un envoi en une fois.",
    "pdf-unreadable": "Le PDF ne s'ouvre pas ou n'a pas de texte : il n'a pas pu servir à reconnaître le document.",
    "pdf-encrypted": "Le PDF est protégé : son texte n'a pas pu être lu. Demandez un PDF sans mot de passe.",
    "pdf-active": "Le PDF contient un contenu actif (script ou pièce cachée). Ne cliquez sur rien dans ce document et "
    "prévenez votre administrateur.",
    "several-from": "Le message annonce plusieurs auteurs. Vérifiez l'expéditeur avant de répondre.",
    "nested-archive": "Une archive en contient une autre : celle du dedans n'a pas été ouverte. Ouvrez la pièce "
    "jointe pour voir ce qu'elle contient.",
    "too-many-archives": "Le message porte trop d'archives pour un envoi normal : les dernières n'ont pas été lues. "
    "Demandez à l'expéditeur un message par document.",
    "no-header": "Le message n'a pas d'en-tête : on ne sait ni qui l'a écrit, ni à qui. Lisez-le avec prudence.",
    "unknown-encoding": "Une pièce du message est encodée d'une façon inconnue : elle n'a pas pu être lue. "
    f"{_ASK_SENDER}",
    "unread-attachment": "Une pièce jointe est d'un format que le hub ne lit pas : elle reste dans le message. "
    "Ouvrez-la pour savoir s'il faut la classer à la main.",
    "bad-address": "Une adresse du message est mal écrite : elle n'a pas été retenue.",
    "misleading-name": "Le nom affiché de l'expéditeur contient une autre adresse que la sienne : méfiez-vous, et "
    "vérifiez qui écrit avant de répondre.",
    "unreadable": "Le hub n'a pas pu lire ce message en sécurité. Il est conservé entier : ouvrez-le dans la "
    "messagerie et prévenez votre administrateur.",
}

_MATCH: dict[str, str] = {
    "ins-unknown": "Aucun usager de l'établissement n'a cet INS. Si la personne est accueillie ici, choisissez son "
    "dossier ; sinon le message ne vous est peut-être pas destiné.",
    "no-ins": "Le document ne contient pas d'INS : le hub ne devine jamais une personne. Lisez le document et "
    "choisissez le dossier.",
    "ins-differs": "Un usager a la même identité mais un autre INS. Vérifiez l'INS du dossier (appel INSi) avant de "
    "classer.",
    "oid-differs": "L'INS est le même, mais son autorité d'affectation diffère de celle du dossier (NIR ou NIA). "
    "Vérifiez l'identité avant de classer.",
    "traits-differ": "L'INS est connu, mais un trait d'identité diffère de celui du dossier. Comparez les deux "
    "identités côte à côte avant de classer.",
    "used-name-given": "Le nom de naissance du document est le nom utilisé du dossier : ils ne sont pas confondus "
    "d'office. Vérifiez l'identité avant de classer.",
    "traits-incomplete": "L'INS est présent, mais il manque des traits d'identité (nom de naissance, prénom, date de "
    "naissance, sexe). Vérifiez l'identité avant de classer.",
    "record-incomplete": "L'INS est connu, mais le dossier de l'usager n'a pas tous les traits d'identité. "
    "Complétez-le, puis classez.",
    "not-qualified": "L'identité de l'usager n'est pas qualifiée dans vos dossiers : le classement automatique n'est "
    "pas permis. Qualifiez-la (INSi et pièce d'identité), ou classez à la main.",
    "identity-doubtful": "L'identité de l'usager est marquée douteuse dans vos dossiers. Levez le doute, ou classez à "
    "la main.",
    "ins-key-wrong": "La clé de l'INS est fausse : ce numéro n'existe pas. Demandez à l'expéditeur de corriger "
    "l'identité.",
    "test-on-production": "L'INS est un numéro de test, reçu dans une vraie boîte : il ne désigne personne. Prévenez "
    "l'expéditeur.",
    "production-on-test": "L'INS est celui d'une vraie personne, reçu dans une boîte de test : rien n'a été classé. "
    "Prévenez votre administrateur.",
    "several-identities": "Les documents du message ne désignent pas tous la même personne : rien n'a été classé. "
    "Demandez un message par personne.",
    "several-usagers": "Plusieurs dossiers de l'établissement portent cet INS. Fusionnez les doublons, ou choisissez "
    "le bon dossier.",
    "document-without-identity": "Une pièce du message ne dit pas de qui elle parle : le tout attend une personne. "
    "Lisez-la et choisissez le dossier.",
}

_VERSIONS: dict[str, str] = {
    "not-latest": "Ce document veut remplacer ou supprimer une version qui n'est plus la dernière. Rien n'a été "
    "changé : comparez avec la version du dossier.",
    "unknown-deleted": "L'expéditeur demande de supprimer un document qui n'est pas dans vos dossiers. Rien n'a été "
    "changé : vérifiez s'il a été classé autrement.",
    "unknown-previous": "Ce document remplace une version que vous n'avez pas reçue. Demandez la version précédente, "
    "ou classez celle-ci à la main.",
    "not-the-author": "Celui qui remplace ou supprime ce document n'en est ni l'auteur ni de la même structure. Rien "
    "n'a été changé : appelez l'expéditeur.",
    "previous-of-another": "La version à remplacer ou à supprimer est dans le dossier d'une autre personne. Rien n'a "
    "été changé : vérifiez l'identité.",
    "filed-elsewhere": "Ce même document est déjà dans le dossier d'une autre personne. Vérifiez lequel est le bon.",
    "same-id-other-bytes": "Un autre contenu est déjà classé sous le même identifiant de document. Comparez les deux, "
    "puis demandez à l'expéditeur lequel est le bon.",
    "version-conflict": "Une autre version du même document est déjà classée et leur ordre n'est pas sûr. Comparez "
    "les deux et demandez à l'expéditeur laquelle est la bonne.",
    "several-previous": "Ce document remplacerait plusieurs documents en vigueur à la fois. Lisez-les et décidez "
    "lequel reste.",
}

_PLAN: dict[str, str] = {
    "rule": "Une règle de l'établissement demande de mettre ce message en attente. Lisez-le et décidez.",
    "sender-outside": "L'expéditeur n'est pas dans la liste des domaines de l'espace de confiance. Vérifiez qui il "
    "est avant d'ouvrir quoi que ce soit.",
    "delivery-failed": "Un de vos envois n'a pas été remis à son destinataire. Vérifiez l'adresse, puis renvoyez ou "
    "téléphonez.",
    "delivery-unclear": "Un avis de remise est arrivé, mais il ne dit pas clairement ce qu'est devenu l'envoi. "
    "Lisez-le.",
    "integration-failed": "Un destinataire n'a pas pu intégrer un document que vous avez envoyé. Lisez l'avis, "
    "corrigez, puis renvoyez.",
    "doubtful-auto-reply": "Ce message ressemble à une réponse automatique, sans en être sûr. Lisez-le ; s'il ne "
    "demande rien, clôturez-le.",
    "nothing-to-file": "Ce message ne contient aucun document qui puisse être classé. Lisez-le, puis clôturez-le.",
    "receipt-address-differs": "L'accusé est demandé pour une autre adresse que celle de l'expéditeur : il n'est pas "
    "envoyé d'office, pour éviter les boucles. Envoyez-le si cette adresse est la bonne.",
    "receipt-no-return-path": "L'adresse de retour du message manque : l'accusé demandé n'est pas envoyé d'office. "
    "Envoyez-le si l'adresse demandée est celle de l'expéditeur.",
    "receipt-several-addresses": "L'accusé est demandé pour plusieurs adresses : il n'est pas envoyé d'office. "
    "Envoyez-le si ces adresses sont les bonnes.",
    "receipt-outside": "L'accusé est demandé pour une adresse hors de l'espace de confiance : il n'est pas envoyé "
    "d'office. Vérifiez l'adresse.",
}

_ABOUT: dict[str, str] = {
    # how the usager of a submission was found
    "by-form": "L'usager a été reconnu par le formulaire rempli joint au message.",
    "by-datamatrix": "L'usager a été reconnu par le code INS (DataMatrix) imprimé dans le PDF.",
    "by-document": "L'usager a été reconnu par l'identité inscrite dans le document joint.",
    "by-number": "L'usager a été reconnu par le numéro de dossier écrit dans l'objet ou dans le nom d'un fichier.",
    "by-thread": "L'usager est celui du message auquel vous répondez.",
    "by-name": "L'usager a été reconnu par son nom, son prénom et sa date de naissance, écrits dans l'objet.",
    "no-usager-mark": "Le message ne porte ni document ni usager : il part comme un message ordinaire.",
    # why nobody is certain
    "no-usager": "Le message porte un document, mais rien ne dit de quel usager il s'agit. Donnez son numéro de "
    "dossier.",
    "number-unknown": "Le numéro de dossier écrit n'existe pas dans vos dossiers. Vérifiez-le.",
    "number-of-several": "Le numéro de dossier écrit peut désigner plusieurs dossiers. Écrivez-le en entier, entre "
    "crochets.",
    "number-like-a-year": "Le nombre écrit après « dossier » peut être une année : il ne suffit pas à désigner un "
    "usager. Écrivez le numéro entre crochets.",
    "thread-unknown": "Le message auquel vous répondez n'est rattaché à aucun usager dans vos dossiers.",
    "thread-of-several": "Les messages auxquels vous répondez concernent plusieurs usagers. Dites duquel il s'agit.",
    "name-unknown": "Aucun usager n'a exactement le nom, le prénom et la date de naissance écrits. Vérifiez-les, ou "
    "donnez le numéro de dossier.",
    "name-without-date": "Un nom est écrit sans date de naissance : il ne suffit pas à désigner un usager. Donnez le "
    "numéro de dossier.",
    "homonyms": "Plusieurs usagers ont ce nom, ce prénom et cette date de naissance. Donnez le numéro de dossier.",
    "near-namesake": "Un autre usager a presque le même nom, le même prénom et la même date de naissance. Pour ne pas "
    "les confondre, donnez le numéro de dossier.",
    "too-many-alike": "Trop d'usagers ont ce nom ou cette date de naissance pour être sûr qu'un seul est concerné. "
    "Donnez le numéro de dossier.",
    "ins-in-text": "Un INS figure dans le texte du document : il montre de qui il peut s'agir, mais ne suffit pas. "
    "Donnez le numéro de dossier.",
    # what contradicts
    "several-named": "Le message désigne deux personnes différentes. Dites laquelle est concernée, ou faites un envoi "
    "par personne.",
    "name-contradicts": "Le nom ou la date de naissance écrits dans le message ne sont pas ceux de l'usager désigné. "
    "Vérifiez de qui il s'agit.",
    "document-contradicts": "L'identité inscrite dans le document joint n'est pas celle de l'usager désigné. Vérifiez "
    "que c'est le bon document.",
    "another-ins-in-text": "Le texte du document porte un INS qui n'est pas celui de l'usager désigné (peut-être celui "
    "d'un parent). Vérifiez que c'est le bon document.",
    "names-a-sibling": "L'objet ou un nom de fichier porte le prénom d'un autre usager de même nom, peut-être un frère "
    "ou une sœur. Vérifiez de qui il s'agit.",
    "several-kinds-asked": "L'objet demande deux types de document à la fois : aucun n'a été retenu.",
    # what a reply does not say clearly
    "answer-empty": "Votre réponse ne contient pas de numéro de dossier.",
    "answer-several": "Votre réponse contient plusieurs numéros de dossier.",
    "answer-both": "Votre réponse donne un numéro et demande aussi d'annuler.",
    "answer-denied": "Votre réponse dit de quel dossier il ne s'agit pas, mais pas duquel il s'agit.",
    "answer-too-late": "Cet envoi n'attend plus de réponse : il est déjà parti, ou a été annulé.",
}

_SUBMISSIONS: dict[str, str] = {
    "recipient-outside": "Cette adresse n'est pas dans l'espace de confiance MSSanté : rien ne lui a été envoyé. "
    "Cherchez l'adresse MSSanté du destinataire dans l'annuaire, ou transmettez par un autre moyen sûr.",
    "no-recipient": "Le message n'a aucun destinataire : rien n'est parti. Renvoyez-le avec une adresse.",
    "too-many-recipients": "Le message a trop de destinataires pour un envoi au sujet d'un usager : rien n'est parti. "
    "Vérifiez la liste, puis faites plusieurs envois.",
    "archive-submitted": "Le message porte déjà une archive IHE_XDM : le hub n'envoie que celles qu'il a écrites. "
    "Joignez le document lui-même, en PDF.",
    "attachment-unsendable": "Une pièce jointe n'est ni un PDF ni un texte : elle ne peut pas partir comme document. "
    "Enregistrez-la en PDF, puis renvoyez.",
    "not-composed": "Le message à envoyer n'a pas pu être préparé : rien n'est parti.",
}

_ROLES: dict[str, str] = {
    "role-unknown": "Cette adresse ne désigne aucun rôle connu du carnet d'adresses : rien ne lui a été envoyé.",
    "role-without-usager": "Le message s'adresse à un rôle (référent, secrétariat du territoire…), mais ne dit pas de "
    "quel usager. Donnez son numéro de dossier.",
    "role-unresolved": "Le carnet d'adresses ne dit pas qui tient ce rôle pour cet usager. Faites-y noter l'adresse.",
    "role-ended": "Plus personne ne tient ce rôle pour cet usager. Le message n'est pas envoyé à l'ancienne personne : "
    "faites noter la nouvelle adresse dans le carnet.",
    "role-not-yet": "Personne ne tient encore ce rôle pour cet usager. Attendez cette date, ou faites corriger le "
    "carnet d'adresses.",
    "role-several": "Le carnet d'adresses donne plusieurs personnes pour un rôle qui n'en admet qu'une. Faites-le "
    "corriger.",
    "role-contact-ended": "L'adresse notée dans le carnet pour ce rôle n'est pas valable aujourd'hui. Faites noter la "
    "bonne adresse.",
    "role-outside": "L'adresse notée dans le carnet pour ce rôle n'est plus dans l'espace de confiance MSSanté. Faites "
    "noter une adresse MSSanté.",
    "role-own-mailbox": "L'adresse notée dans le carnet pour ce rôle est une de vos boîtes : le message y reviendrait "
    "sans fin. Faites corriger le carnet.",
}

_SENTENCES: dict[str, str] = {**_DEFECTS, **_MATCH, **_VERSIONS, **_ABOUT, **_SUBMISSIONS, **_ROLES, **_PLAN}
CODES = frozenset(_SENTENCES)


def sentence(code: str) -> str:
    """The French sentence of a code; a general one for a code that is not known here."""
    known = _SENTENCES.get(code)
    return known or f"Le hub a relevé une anomalie (code {code}). Lisez le message avant de décider."


def reason(code: str) -> Reason:
    return Reason(code, sentence(code))


def recipient_outside(recipient: str, members: Members) -> Reason:
    """Why nothing leaves for a stranger, and which members' domains its own resembles."""
    near, said = members.nearest(recipient), sentence("recipient-outside")
    if not near:
        return Reason("recipient-outside", said)
    told = f"{said} L'adresse ressemble à celles de : {', '.join(near)}. Vérifiez-la auprès du destinataire."
    return Reason("recipient-outside", told)
