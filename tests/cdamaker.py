"""Makes samples for tests: CDA documents (N1, N3), METADATA.XML and IHE_XDM archives about people who do not exist.

Everything is written here from nothing, by string templates; no product code is used, so that a mistake of the reader
is not repeated by its samples. `Sample` describes one document; change a field with `dataclasses.replace` to break it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

TEST_OID = "1.2.250.1.213.1.4.10"
LOINC = "2.16.840.1.113883.6.1"
FOLDER = "IHE_XDM/SUBSET01/"
PDF_COPY_TEMPLATE = "1.2.250.1.213.1.1.2.243"


def with_key(body: str) -> str:
    """13 characters of a number, and its key."""
    digits = body.replace("2A", "19").replace("2B", "18")
    return f"{body}{97 - int(digits) % 97:02d}"


@dataclass(frozen=True, kw_only=True)
class Person:
    ins: str | None
    birth_name: str
    first_given: str
    given_names: str
    birth_date: str  # AAAAMMJJ
    sex: str
    birth_place: str
    oid: str = TEST_OID
    local_id: str | None = "DOS-0042"
    local_oid: str = "2.25.4242.1"
    used_name: str | None = None
    used_given: str | None = None


LEA = Person(
    ins=with_key("2120531555012"),
    birth_name="MARTINEAU",
    first_given="LEA",
    given_names="LEA ROSE",
    birth_date="20120512",
    sex="F",
    birth_place="31555",
)
NOE = Person(
    ins=with_key("1150969123045"),
    birth_name="D'ARCY-BLANC",
    first_given="NOE",
    given_names="NOE PAUL",
    birth_date="20150904",
    sex="M",
    birth_place="69123",
    local_id="DOS-0077",
)


def make_pdf(text: str = "Note de suivi") -> bytes:
    """A PDF of one page that any reader opens."""
    content = f"BT /F1 14 Tf 60 760 Td ({text.encode('ascii', 'replace').decode()}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One document and what its metadata say of it. `None` leaves the element or slot out; `meta_…` set apart what the
    metadata state from what the CDA states; `raw` puts other bytes in the place of the CDA."""

    person: Person = LEA
    unique_id: str = "2.25.1000.1"  # root or root^extension
    set_id: str | None = "2.25.1000"
    version: str | None = "1"
    replaces: tuple[str, ...] = ()
    code: str = "28653-4"
    code_system: str = LOINC
    code_label: str = "Document du secteur social / médico-social"
    title: str = "Note de suivi éducatif"
    effective: str | None = "20240315101500+0100"
    act: str = "20240314090000+0100"
    facility: str = "SA20"
    practice: str = "ESSMS"
    confidentiality: str = "N"
    body: bytes | None = field(default_factory=make_pdf)  # None: an N3
    media_type: str | None = "application/pdf"
    representation: str | None = "B64"
    encoded: str | None = None  # the text of the body as it stands, instead of the base64 of `body`
    pdf_copy: bytes | None = None
    author_id: str = "3310000001/12"
    organisation_id: str = "1310000001"
    # what the archive says
    file: str = "DOC0001.XML"
    uri: str | None = ""  # "": the file
    meta_id: str | None = ""  # "": as in the CDA
    meta_person: Person | None = None
    meta_patient_id: str | None = ""
    meta_code: str | None = ""
    meta_created: str | None = "20240315091500"
    meta_hash: str | None = ""
    meta_size: str | None = ""
    mime_type: str = "text/xml"
    action: str | None = None
    raw: bytes | None = None

    def content(self) -> bytes:
        return make_cda(self) if self.raw is None else self.raw


def _id(tag: str, unique_id: str | None) -> str:
    if unique_id is None:
        return ""
    root, _, extension = unique_id.partition("^")
    return f"<{tag} root={quoteattr(root)}" + (f" extension={quoteattr(extension)}/>" if extension else "/>")


def patient_role(person: Person) -> str:
    used = ""
    if person.used_name:
        used = f'<family qualifier="CL">{escape(person.used_name)}</family>'
    if person.used_given:
        used += f'<given qualifier="CL">{escape(person.used_given)}</given>'
    ids = f'<id root="{person.oid}" extension="{person.ins}"/>' if person.ins else ""
    if person.local_id:
        ids += f'<id extension="{person.local_id}" root="{person.local_oid}"/>'
    return f"""<recordTarget><patientRole>{ids}<patient><name>
      <family qualifier="BR">{escape(person.birth_name)}</family><given>{escape(person.given_names)}</given>
      <given qualifier="BR">{escape(person.first_given)}</given>{used}</name>
      <administrativeGenderCode code="{person.sex}" codeSystem="2.16.840.1.113883.5.1"/>
      <birthTime value="{person.birth_date}"/>
      <birthplace><place><addr><county>{person.birth_place}</county></addr></place></birthplace>
    </patient></patientRole></recordTarget>"""


def _body(sample: Sample) -> str:
    if sample.body is None and sample.encoded is None:
        copy = ""
        if sample.pdf_copy is not None:
            copy = f"""<component><section><templateId root="{PDF_COPY_TEMPLATE}"/><title>Copie</title>
              <entry><organizer><component><observationMedia><value mediaType="application/pdf" representation="B64">
              {base64.b64encode(sample.pdf_copy).decode()}</value></observationMedia></component>
              </organizer></entry></section></component>"""
        section = "<component><section><title>Suivi</title><text>Rien à signaler.</text></section></component>"
        return f"<structuredBody>{section}{copy}</structuredBody>"
    media = f" mediaType={quoteattr(sample.media_type)}" if sample.media_type is not None else ""
    spelled = f' representation="{sample.representation}"' if sample.representation is not None else ""
    content = sample.encoded if sample.encoded is not None else base64.b64encode(sample.body or b"").decode()
    return f"<nonXMLBody><text{media}{spelled}>{content}</text></nonXMLBody>"


def make_cda(sample: Sample) -> bytes:
    """The bytes of the document, UTF-8."""
    replaced = "".join(
        f'<relatedDocument typeCode="RPLC"><parentDocument>{_id("id", each)}</parentDocument></relatedDocument>'
        for each in sample.replaces
    )
    version = f'<versionNumber value="{sample.version}"/>' if sample.version is not None else ""
    effective = f'<effectiveTime value="{sample.effective}"/>' if sample.effective is not None else ""
    structure = f'<id root="1.2.250.1.71.4.2.2" extension="{sample.organisation_id}"/><name>Maison des Tilleuls</name>'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <realmCode code="FR"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <templateId root="2.16.840.1.113883.2.8.2.1"/><templateId root="1.2.250.1.213.1.1.1.1"/>
  {_id("id", sample.unique_id)}
  <code code="{sample.code}" codeSystem="{sample.code_system}" displayName={quoteattr(sample.code_label)}/>
  <title>{escape(sample.title)}</title>{effective}
  <confidentialityCode code="{sample.confidentiality}" codeSystem="2.16.840.1.113883.5.25"/>
  <languageCode code="fr-FR"/>{_id("setId", sample.set_id)}{version}
  {patient_role(sample.person)}
  <author><time value="20240315101500+0100"/><assignedAuthor>
    <id root="1.2.250.1.71.4.2.1" extension="{sample.author_id}"/>
    <code code="326" codeSystem="1.2.250.1.213.1.6.1.107" displayName="Educateur spécialisé"/>
    <assignedPerson><name><given>Camille</given><family>OSTERMANN</family></name></assignedPerson>
    <representedOrganization>{structure}</representedOrganization></assignedAuthor></author>
  <custodian><assignedCustodian><representedCustodianOrganization>{structure}</representedCustodianOrganization>
  </assignedCustodian></custodian>
  <documentationOf><serviceEvent><effectiveTime><low value="{sample.act}"/></effectiveTime>
    <performer typeCode="PRF"><assignedEntity><id root="1.2.250.1.71.4.2.1" extension="{sample.author_id}"/>
    <representedOrganization>{structure}<standardIndustryClassCode code="{sample.practice}"
      codeSystem="1.2.250.1.213.1.1.4.9"/></representedOrganization></assignedEntity></performer></serviceEvent>
  </documentationOf>{replaced}
  <componentOf><encompassingEncounter><effectiveTime/><location><healthCareFacility>
    <code code="{sample.facility}" codeSystem="1.2.250.1.71.4.2.4"/></healthCareFacility></location>
  </encompassingEncounter></componentOf>
  <component>{_body(sample)}</component>
</ClinicalDocument>""".encode()


def _slot(name: str, *values: str | None) -> str:
    stated = "".join(f"<rim:Value>{escape(value)}</rim:Value>" for value in values if value is not None)
    return f'<rim:Slot name="{name}"><rim:ValueList>{stated}</rim:ValueList></rim:Slot>' if stated else ""


def _classified(scheme: str, code: str | None, system: str, label: str = "Libellé") -> str:
    if code is None:
        return ""
    return f"""<rim:Classification classificationScheme="urn:uuid:{scheme}" classifiedObject="elsewhere"
      nodeRepresentation={quoteattr(code)}><rim:Name><rim:LocalizedString value={quoteattr(label)}/></rim:Name>
      {_slot("codingScheme", system)}</rim:Classification>"""


def _identified(scheme: str, value: str | None) -> str:
    if value is None:
        return ""
    return f'<rim:ExternalIdentifier identificationScheme="urn:uuid:{scheme}" value={quoteattr(value)}/>'


def cx(person: Person) -> str:
    if person.ins is None:
        return f"{person.local_id}^^^&{person.local_oid}&ISO^PI"
    return f"{person.ins}^^^&{person.oid}&ISO^NH"


def pid_values(person: Person) -> tuple[str, ...]:
    return (
        f"PID-5|{person.birth_name}^{person.first_given}^{person.given_names}^^^^L",
        f"PID-5|{person.used_name or person.birth_name}^{person.used_given or person.first_given}^^^^^D",
        f"PID-7|{person.birth_date}",
        f"PID-8|{person.sex}",
        f"PID-11|^^^^^^BDL^^{person.birth_place}",
    )


def make_entry(sample: Sample, number: int = 1) -> str:
    """The ExtrinsicObject of one document."""

    def stated(given: str | None, usual: str) -> str | None:
        return usual if given == "" else given

    raw = sample.content()
    person = sample.meta_person or sample.person
    code = stated(sample.meta_code, sample.code)
    digest = hashlib.sha1(raw).hexdigest().upper()
    return f"""<rim:ExtrinsicObject id="urn:uuid:00000000-0000-4000-8000-{number:012d}" mimeType="{sample.mime_type}"
      objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">
    {_slot("hash", stated(sample.meta_hash, digest))}{_slot("size", stated(sample.meta_size, str(len(raw))))}
    {_slot("URI", stated(sample.uri, sample.file))}{_slot("creationTime", sample.meta_created)}
    {_slot("languageCode", "fr-FR")}{_slot("serviceStartTime", "20240314080000")}
    {_slot("sourcePatientId", f"{person.local_id}^^^&{person.local_oid}&ISO^PI" if person.local_id else None)}
    {_slot("sourcePatientInfo", *pid_values(person))}{_slot("urn:action:extraMetadataSlot", sample.action)}
    <rim:Name><rim:LocalizedString value={quoteattr(sample.title)}/></rim:Name>
    <rim:Classification classificationScheme="urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d" nodeRepresentation="">
      {_slot("authorPerson", f"{sample.author_id}^OSTERMANN^Camille^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^EI")}
      {_slot("authorInstitution", f"Tilleuls^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^{sample.organisation_id}")}
    </rim:Classification>
    {_classified("41a5887f-8865-4c09-adf7-e362475b143a", "10", "1.2.250.1.213.1.1.4.1", "Compte rendu")}
    {_classified("f0306f51-975f-434e-a61c-c59651d33983", code, sample.code_system, sample.code_label)}
    {_classified("f4f85eac-e6cb-4883-b524-f2705394840f", sample.confidentiality, "2.16.840.1.113883.5.25")}
    {_classified("a09d5840-386c-46f2-b5ad-9c3699a4309d", "urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3")}
    {_classified("f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", sample.facility, "1.2.250.1.71.4.2.4")}
    {_classified("cccf5598-8b07-4b77-a05e-ae952c785ead", sample.practice, "1.2.250.1.213.1.1.4.9")}
    {_identified("58a6f841-87b3-4a3e-92fd-a8ffeff98427", stated(sample.meta_patient_id, cx(person)))}
    {_identified("2e82c1f6-a085-4c72-9da3-8640a32e42ab", stated(sample.meta_id, sample.unique_id))}
    </rim:ExtrinsicObject>"""


def make_metadata(samples: Sequence[Sample], set_person: Person | None = None) -> bytes:
    """METADATA.XML, UTF-8, without blanks before it."""
    person = set_person or samples[0].meta_person or samples[0].person
    entries = "".join(make_entry(sample, number) for number, sample in enumerate(samples, 1))
    return f"""<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
  xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><rim:RegistryObjectList>{entries}
  <rim:RegistryPackage id="set">{_slot("submissionTime", "20240315091600")}
    {_identified("6b5aea1a-874d-4603-a4bc-96a0a7b38446", cx(person))}
    {_identified("96fdda7c-d067-4183-912e-bf5ee74998a8", "2.25.9000.1")}
    {_identified("554ac39e-e3fe-47fe-b233-965d2a147832", "2.25.9000")}</rim:RegistryPackage>
  <rim:Association associationType="urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember" sourceObject="set"
    targetObject="urn:uuid:00000000-0000-4000-8000-000000000001"/></rim:RegistryObjectList>
</lcm:SubmitObjectsRequest>""".encode()


def archive_files(*samples: Sample, folder: str = FOLDER) -> dict[str, bytes]:
    """The files of a conformant archive, by path, in order."""
    given = samples or (Sample(),)
    files = {"INDEX.HTM": b"<html><body>Tilleuls</body></html>", "README.TXT": b"Emis par Tilleuls\r\n"}
    files[f"{folder}METADATA.XML"] = make_metadata(given)
    files.update({f"{folder}{sample.file}": sample.content() for sample in given})
    return files


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for path, raw in files.items():
            archive.writestr(path, raw)
    return stream.getvalue()


def make_archive(*samples: Sample, folder: str = FOLDER) -> bytes:
    """The bytes of IHE_XDM.ZIP; without samples, one conformant N1 about LEA."""
    return zip_of(archive_files(*samples, folder=folder))
