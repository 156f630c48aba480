"""What the hub answers when it cannot do what was asked: RFC 9457 problems, one slug per reason.

The slugs are part of the interface: the edge agent decides by them. `type` is "urn:qenergyz:problem:<slug>".
"""

from collections.abc import Mapping
from typing import Any, Final

TYPE_PREFIX: Final = "urn:qenergyz:problem:"

# slug -> (HTTP status, title)
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "malformed-batch": (400, "The batch is not in the required form"),
    "wrong-algorithm": (400, "The algorithm is not the one enrolled for this key"),
    "bad-signature": (400, "The signature does not verify"),
    "bomb": (413, "The payload inflates beyond the limits"),
    "too-large": (413, "The request is larger than allowed"),
    "unknown-key": (401, "The key is not enrolled here"),
    "revoked-key": (403, "The key is revoked or not yet valid"),
    "wrong-gateway": (403, "The key belongs to another gateway"),
    "unknown-tag-table": (424, "The tag table of this batch is not known; send it first"),
    "chain-broken": (409, "The batch does not continue its chain"),
    "equivocation": (409, "Another batch with this number is already stored"),
    "two-agents": (409, "Another agent sends under the same key"),
    "malformed-tag-table": (400, "The tag table is not in the required form"),
    "wrong-digest": (400, "The digest in the path is not that of the text"),
    "bad-voucher": (403, "The voucher is unknown, used, expired or for another gateway"),
    "bad-proof": (403, "The proof of possession does not verify"),
    "malformed-request": (400, "The request is not in the required form"),
    "unauthorized": (401, "A valid token is needed"),
    "forbidden": (403, "This is not allowed for whoever asks"),
    "wrong-credentials": (401, "Name, password or code are not right"),
    "quota": (403, "The tenant may not have more of this"),
    "step-up": (403, "A fresh proof of who you are is needed"),
    "csrf": (403, "The request did not come from the page"),
    "not-found": (404, "There is no such thing"),
    "conflict": (409, "Another document is stored under this identity"),
    "version-conflict": (409, "The version does not follow the one that is stored"),
    "wrong-deal": (422, "The deal cannot be booked as it is"),
    "wrong-file": (422, "The report cannot be filed as it is"),
    "alarm-state": (409, "The alarm's present state does not allow this"),
    "order-blocked": (409, "Inside information that is not published keeps the book from dealing"),
    "outage-state": (409, "The outage's present state does not allow this"),
    "contradicting-quotes": (422, "Quotes contradict each other"),
    "incomplete": (409, "Not everything of this window has come"),
    "certificate-needed": (401, "This hub asks gateways for a certificate"),
    "wrong-certificate": (403, "The certificate is not that of this gateway"),
    "precondition-needed": (428, "The request must say which version it follows"),
    "precondition-failed": (412, "Another version is stored"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "invalid-request": (422, "The request has invalid values"),
    "unsupported-media-type": (415, "The body is not what its content type says"),
    "key-used": (422, "The idempotency key belongs to another request"),
    "key-in-use": (409, "The request with this idempotency key is not answered yet"),
    "too-slow": (408, "The request body took too long to arrive"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "The hub made an error"),
    "unavailable": (503, "The hub cannot do this at the moment; try again"),
}

FINDING_SLUGS: Final = frozenset(
    {
        "malformed-batch",
        "wrong-algorithm",
        "bad-signature",
        "bomb",
        "too-large",
        "revoked-key",
        "wrong-gateway",
        "unknown-tag-table",
        "chain-broken",
        "equivocation",
        "malformed-tag-table",
        "wrong-digest",
    }
)


class Problem(Exception):
    """A refusal with its reason. `members` become members of the problem document; the ones that are None are left out."""

    def __init__(self, slug: str, detail: str, *, retry_after_s: int | None = None, **members: Any) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail, self.retry_after_s = slug, detail, retry_after_s
        self.status, self.title = PROBLEMS[slug]
        self.members = {key: value for key, value in members.items() if value is not None}

    def document(self) -> dict[str, Any]:
        return {"type": TYPE_PREFIX + self.slug, "title": self.title, "status": self.status, "detail": self.detail, **self.members}

    def headers(self) -> dict[str, str]:
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s is not None else {}
        if self.slug == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        return headers
