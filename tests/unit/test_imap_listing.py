"""What LIST and NAMESPACE say, and which folder is meant by "that of the sent mails"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.imap.grammar import folder_name
from hub.imap.listing import ListedFolder, Namespaces, of_sent_mails, read_list, read_namespaces, said
from hub.imap.wire import SurpriseOnWire

HERE = Namespaces()


def folder(name: str, *marks: str, delimiter: str = "/") -> ListedFolder:
    return ListedFolder(name, frozenset(marks), delimiter)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ((rb'* LIST (\HasNoChildren \Sent) "/" Sent',), folder("Sent", "\\hasnochildren", "\\sent")),
        ((rb'* list () "." "INBOX.Envoy&AOk-s"',), folder("INBOX.Envoyés", delimiter=".")),
        ((b'* LIST () "/" ', b"{x} y", b""), folder("{x} y")),
        ((rb'* LIST () NIL "a\"b\\c"',), folder('a"b\\c', delimiter="")),
        ((rb'* LIST () "\\" "a\\b"',), folder("a\\b", delimiter="\\")),
        ((b'* LIST (\\Sent) "/" Sent ("OLDNAME" ("Envois"))',), folder("Sent", "\\sent")),
        ((b'* LIST () "/" "Envoy\xc3\xa9s"',), None),  # raw UTF-8: it could not be said again
        ((b'* LIST () "/" "&AOk"',), None),
        ((b'* LIST () "/" "&AGE-"',), None),  # an `a` written the long way round
        ((b'* LIST () "/" "&2AA-"',), None),  # half a character
        ((rb'* LSUB () "/" Sent',), None),
    ],
)
def test_a_list_answer_is_read(answer: tuple[bytes, ...], wanted: ListedFolder | None) -> None:
    assert read_list(answer) == wanted


@given(st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), min_size=1, max_size=20))
def test_a_name_written_by_us_is_read_back(name: str) -> None:
    assert read_list((b'* LIST () "/" ' + folder_name(name).encode(),)) == folder(name)


@given(st.binary(min_size=1, max_size=30))
def test_a_name_that_is_read_is_written_the_same_or_left_out(raw: bytes) -> None:
    name = said(raw)
    if name is not None:
        assert read_list((b'* LIST () "/" ' + folder_name(name).encode(),)) == folder(name)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_a_surprise(raw: bytes) -> None:
    for read in (read_list, read_namespaces):
        for head in (b"* LIST ", b"* NAMESPACE "):
            try:
                read((head + raw,))
            except SurpriseOnWire:
                continue


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'* NAMESPACE (("" "/")) NIL NIL', Namespaces()),
        (b'* NAMESPACE (("INBOX." ".")) NIL (("Partage." "."))', Namespaces("INBOX.", ("Partage.",))),
        (b'* NAMESPACE NIL (("~" "/")) (("#x/" "/")("#y/" "/"))', Namespaces("", ("~", "#x/", "#y/"))),
        (b'* NAMESPACE (("" "/" "X" ("y" "z"))) (("O&AOk-/" "/")) NIL', Namespaces("", ("Oé/",))),
    ],
)
def test_namespaces_are_read(line: bytes, wanted: Namespaces) -> None:
    assert read_namespaces((line,)) == wanted


@pytest.mark.parametrize(
    ("folders", "wanted"),
    [
        ([folder("Sent"), folder("Objets", "\\sent")], ["Objets"]),  # the mark counts more than a name
        ([folder("Sent Items"), folder("Sent")], ["Sent"]),
        ([folder("INBOX/SENT")], ["INBOX/SENT"]),
        ([folder("Éléments envoyés")], ["Éléments envoyés"]),
        ([folder("Projet/Sent"), folder("Sentiments")], []),
        ([folder("Sent"), folder("sent")], ["Sent", "sent"]),
        ([folder("A", "\\sent"), folder("B", "\\sent")], ["A", "B"]),
        ([folder("Sent", "\\noselect"), folder("Vide", "\\sent", "\\nonexistent")], []),
        ([], []),
    ],
)
def test_the_folder_of_sent_mails_is_found_or_nothing_is_guessed(
    folders: list[ListedFolder], wanted: list[str]
) -> None:
    assert [one.name for one in of_sent_mails(folders, HERE)] == wanted


def test_folders_of_others_are_never_meant() -> None:
    spaces = Namespaces("", ("Autres/", "Partage/"))
    folders = [folder("Autres/Camille/Sent", "\\sent"), folder("Partage/Sent", "\\sent")]
    assert of_sent_mails(folders, spaces) == ()
