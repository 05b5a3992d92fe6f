"""The integration codes 900 to 906 (table applicationErrorCondition of the volet « Transmission au LPS de documents
CDA provenant d'un courriel MSSanté », 1.1.3) and their labels. On the ground floor, like `hub.ins`: the mind decides
with them, receipts carry them.

The label of 902 is the one of the volet's MDN example, « Identifiant de patient inconnu »; its table drops the
« de ». 906 stands in the volet's later text only as "other": its label is ours.
"""

from __future__ import annotations

_LABELS = {
    900: "Version du document incorrecte lors d'une demande de remplacement/suppression",
    901: "Auteur non autorisé à remplacer ou supprimer un document",
    902: "Identifiant de patient inconnu",
    903: "INS non présent dans le document",
    904: "L'INS transmis ne correspond pas exactement à celui stocké dans la base du consommateur",
    905: "L'INS transmis n'est pas complet",
    906: "Autre erreur d'intégration",
}

INTEGRATION_CODES = frozenset(_LABELS)


def official_label(code: int) -> str:
    """The French label of an integration code. Raises KeyError for a number that is none (0, success, included)."""
    return _LABELS[code]
