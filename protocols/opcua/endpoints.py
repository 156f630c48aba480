"""Which of a server's endpoints is used, and what the first contact with it says. Decisions about what the server offers; no network.

What the gateway's file does not say is not guessed: a server that offers security is used only with a pinned fingerprint or a trust folder,
and the error of the first contact holds the lines to paste.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncua.ua

from protocols import quality
from protocols.driver import DriverSetup
from protocols.opcua import trust
from protocols.opcua.plan import DEPRECATED, MODES, NONE, POLICIES, Settings

ua: Any = asyncua.ua  # built by star imports, which type checkers do not follow
log = logging.getLogger("qenergyz.edge")

_NO_POLICY: Final = "http://opcfoundation.org/UA/SecurityPolicy#None"


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom we call: the device's name for messages, its address, how it is secured."""

    name: str
    address: str
    settings: Settings

    def setup(self, message: str) -> DriverSetup:
        return DriverSetup(f'device "{self.name}": {message}', quality.BAD_CONFIGURATION)


def policy_of(endpoint: Any) -> str:
    return str(endpoint.SecurityPolicyUri).partition("#")[2]


def choose(endpoints: Sequence[Any], peer: Peer) -> Any:
    """The endpoint to use. Raises DriverSetup; for a first contact with the lines to paste."""
    settings = peer.settings
    offers = {(policy_of(end), end.SecurityMode.name): end for end in endpoints if str(end.EndpointUrl).startswith("opc.tcp")}
    plain = next((end for (policy, _), end in offers.items() if policy == "None"), None)
    secure = [(policy, mode) for policy in POLICIES for mode in MODES if (policy, mode) in offers]
    believed = settings.fingerprint or settings.trust is not None
    if settings.security == NONE or (not settings.security and not secure and plain is not None and not believed):
        if plain is None:
            raise peer.setup(f'security = "none", but the server offers only {_listed(offers)}')
        if not settings.security and not any(policy in DEPRECATED for policy, _ in offers):
            log.warning("opcua_unsecured device=%s address=%s cause=the server offers no security", peer.name, peer.address)
            return plain
        if settings.security == NONE:
            return plain
    if not settings.security:
        raise peer.setup(_first_contact(offers, secure, settings))
    wanted = (settings.security, settings.mode)
    if wanted not in offers:
        raise peer.setup(f"the server does not offer {settings.security} with {settings.mode}, but {_listed(offers)}")
    return offers[wanted]


def _listed(offers: dict[tuple[str, str], Any]) -> str:
    return ", ".join(f"{policy} {mode}".removesuffix(" None_") for policy, mode in offers) or "nothing"


def _first_contact(offers: dict[tuple[str, str], Any], secure: Sequence[tuple[str, str]], settings: Settings) -> str:
    if not secure and not any(policy in DEPRECATED for policy, _ in offers):
        return "the server offers no security, but the gateway's file names a certificate to trust: is somebody in between?"
    if not secure:
        return (
            f"the server offers only deprecated security ({_listed(offers)}); to use it all the same, name the policy in "
            '"security", or say security = "none"'
        )
    policy, mode = secure[0]
    endpoint = offers[secure[0]]
    try:
        leaf = trust.split_chain(endpoint.ServerCertificate or b"")[0]
    except trust.Untrusted as error:
        return f"the server offers {policy}, but {error}"
    vouched = (
        f'trust       = "{settings.trust}"' if settings.trust else f'fingerprint = "{settings.fingerprint or trust.fingerprint(leaf)}"'
    )
    return (
        f"the server offers security ({_listed(offers)}) and the gateway's file does not say which to use. Its certificate is "
        f"{trust.described(leaf)}, application {endpoint.Server.ApplicationUri}. Compare the fingerprint with the one that the server itself "
        f'shows, then add to this [[device]]:\nsecurity    = "{policy}"\nmode        = "{mode}"\n{vouched}\n'
        'or, to go without any protection: security = "none"'
    )


def encrypts_password(endpoint: Any) -> bool:
    policies = [token.SecurityPolicyUri for token in endpoint.UserIdentityTokens if token.TokenType == ua.UserTokenType.UserName]
    return bool(policies) and all(policy and policy != _NO_POLICY for policy in policies)
