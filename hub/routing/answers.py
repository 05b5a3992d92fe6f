"""Whether the receipt that a sender asked for goes out by itself, waits for a human, or never goes.

In: the envelope, the message and what the receipt would say. Out: one `Receipt`, one `Hold` about the receipt, or
nothing (mssante.md §5.2, RH-50). Loops are the danger: an address that is not the return path, a mailbox of ours, a
mail that a machine wrote (complaints.md, row 15).
"""

from __future__ import annotations

from hub.integration import official_label
from hub.message import Envelope, Hold, ParsedMessage, Receipt, Step
from hub.routing.reasons import reason
from hub.routing.rulebook import Policy


def receipt_steps(
    envelope: Envelope, parsed: ParsedMessage, policy: Policy, code: int, by: str = "hub"
) -> tuple[Step, ...]:
    """The answer to `Disposition-Notification-To`, for a message that carries documents. The code of a held receipt
    stands in `Hold.reason`."""
    if _is_from_a_machine(parsed) or _wants_no_receipt(parsed):
        return ()
    own = {address.casefold() for address in policy.own_addresses}
    asked = {address.strip().casefold(): address.strip() for address in parsed.receipt_to if address.strip()}
    addresses = [written for compared, written in asked.items() if compared not in own]
    if not addresses:
        return ()
    doubt = _doubt(addresses, _return_path(envelope, parsed), policy)
    if doubt:
        return (Hold(about="receipt", reasons=(reason(doubt),), reason=str(code)),)
    why = "documents filed" if code == 0 else "not integrated"
    return (make_receipt(addresses[0], code, why, by),)


def make_receipt(recipient: str, code: int, why: str, by: str) -> Receipt:
    """A receipt with the official label of its code (none for success)."""
    return Receipt(recipient=recipient, code=code, label=official_label(code) if code else "", reason=why, by=by)


def _is_from_a_machine(parsed: ParsedMessage) -> bool:
    """RFC 3834: nothing automatic is answered automatically."""
    submitted = (parsed.auto_submitted or "no").partition(";")[0].strip().lower()
    return submitted not in ("no", "")


def _wants_no_receipt(parsed: ParsedMessage) -> bool:
    """MS-OXCMAIL 2.2.3.2.14: `RN` and `NRN` suppress read receipts, `All` everything; what else the header names
    (`OOF`) is no business of a receipt."""
    asked = (parsed.header("X-Auto-Response-Suppress") or "").lower().replace(";", ",").split(",")
    return not {"all", "rn", "nrn"}.isdisjoint(word.strip() for word in asked)


def _return_path(envelope: Envelope, parsed: ParsedMessage) -> str | None:
    """What the wire said, else the header that the last server wrote; None when nobody knows. `From` is no return path:
    anybody may write it."""
    return envelope.sender if envelope.sender is not None else parsed.return_path


def _doubt(addresses: list[str], return_path: str | None, policy: Policy) -> str | None:
    if len(addresses) > 1:
        return "receipt-several-addresses"
    if not policy.members.has(addresses[0]):
        return "receipt-outside"
    if return_path is None:
        return "receipt-no-return-path"
    # §5.2 item 2. Case apart: operators rewrite it.
    if addresses[0].casefold() != return_path.strip().strip("<>").strip().casefold():
        return "receipt-address-differs"
    return None
