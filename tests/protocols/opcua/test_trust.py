"""Which server certificates are believed, and that every refusal says why."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocols.clock import SystemClock
from protocols.opcua import identity
from protocols.opcua.trust import Expected, Untrusted, check, fingerprint, split_chain
from tests.protocols.opcua.certificates import certificate, revocations, trust_folder

URI = "urn:qenergyz:simulated:server"


def judged(chain, trust=None, pin="", host="127.0.0.1", uri=URI):
    check(chain, Expected(pin, trust, host, uri), SystemClock())


def test_a_pinned_certificate_is_accepted_and_no_other():
    one, other = certificate("one", days=(-9, -2)), certificate("two")
    judged([one], pin=fingerprint(one))
    with pytest.raises(Untrusted, match=f"{fingerprint(other)}, pinned is {fingerprint(one)}"):
        judged([other], pin=fingerprint(one))


def test_nothing_is_accepted_where_there_is_nothing_to_compare_with():
    with pytest.raises(Untrusted, match="neither"):
        judged([certificate("one")])


def test_a_certificate_in_the_trust_list_is_accepted(tmp_path):
    leaf = certificate("one")
    judged([leaf], trust_folder(tmp_path, certificates=[leaf]))


def test_a_renewed_certificate_of_a_trusted_issuer_is_accepted_and_an_unknown_one_refused(tmp_path):
    root = certificate("root", ca=True)
    trust = trust_folder(tmp_path, issuers=[root])
    for _ in range(2):
        judged([certificate("one", issuer="root")], trust)
    with pytest.raises(Untrusted, match="is unknown"):
        judged([certificate("one", issuer="stranger")], trust)
    with pytest.raises(Untrusted, match="is unknown"):
        judged([certificate("one")], trust)


def test_an_intermediate_that_the_server_sends_is_used_but_never_trusted_by_itself(tmp_path):
    root, middle = certificate("root", ca=True), certificate("middle", issuer="root", ca=True)
    leaf = certificate("one", issuer="middle")
    chain = split_chain(b"".join(found.public_bytes(Encoding.DER) for found in (leaf, middle)))
    judged(chain, trust_folder(tmp_path / "a", issuers=[root]))
    with pytest.raises(Untrusted, match="is unknown"):
        judged([leaf, middle, root], trust_folder(tmp_path / "b", issuers=[certificate("other", ca=True)]))


def test_an_issuer_that_is_no_authority_vouches_for_nobody(tmp_path):
    signs_data_only = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    for place, issuer in enumerate((certificate("root", ca=False), certificate("root", ca=True, usage=signs_data_only))):
        with pytest.raises(Untrusted, match="is unknown"):
            judged([certificate("one", issuer="root")], trust_folder(tmp_path / str(place), issuers=[issuer]))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        pytest.param({"days": (-9, -2)}, "out of its time", id="expired"),
        pytest.param({"days": (2, 9)}, "out of its time", id="not yet valid"),
        pytest.param({"uri": "urn:other"}, "for the application urn:other", id="another application"),
        pytest.param({"host": "10.0.0.9"}, "for the host 10.0.0.9", id="another host"),
        pytest.param({"serial": 4711}, "revoked", id="revoked"),
    ],
)
def test_a_certificate_of_a_trusted_issuer_is_refused_with_its_reason(tmp_path, made, reason):
    trust = trust_folder(tmp_path, issuers=[certificate("root", ca=True)], crls=[revocations("root", 4711)])
    with pytest.raises(Untrusted, match=reason):
        judged([certificate("one", issuer="root", **made)], trust)


def test_a_revoked_intermediate_takes_its_servers_with_it(tmp_path):
    middle = certificate("middle", issuer="root", ca=True, serial=4712)
    trust = trust_folder(tmp_path, issuers=[certificate("root", ca=True)], crls=[revocations("root", 4712)])
    with pytest.raises(Untrusted, match="revoked"):
        judged([certificate("one", issuer="middle"), middle], trust)


def test_a_revocation_list_that_somebody_else_signed_revokes_nothing(tmp_path):
    forged = revocations("stranger", 4711)
    trust = trust_folder(tmp_path, issuers=[certificate("root", ca=True)], crls=[forged])
    judged([certificate("one", issuer="root", serial=4711)], trust)


def test_another_host_name_may_be_expected(tmp_path):
    trust = trust_folder(tmp_path, issuers=[certificate("root", ca=True)])
    judged([certificate("one", issuer="root", host="plc7.example")], trust, host="plc7.example")


def test_an_unreadable_file_of_the_trust_list_is_named(tmp_path):
    trust_folder(tmp_path)
    (tmp_path / "crls" / "broken.der").write_bytes(b"no list")
    with pytest.raises(Untrusted, match=r"broken\.der"):
        judged([certificate("one")], tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x82\x00\x05hello", b"nonsense"])
def test_bytes_that_are_no_certificate_are_refused(data):
    with pytest.raises(Untrusted):
        split_chain(data)


def test_our_own_certificate_is_made_once_and_kept(tmp_path):
    first, second = identity.load_or_make(tmp_path / "own"), identity.load_or_make(tmp_path / "own")
    assert first.certificate == second.certificate
    assert first.application_uri.startswith("urn:")
    assert (tmp_path / "own" / identity.KEY).stat().st_mode & 0o777 == 0o600


def test_a_key_and_a_certificate_that_do_not_belong_together_are_refused(tmp_path):
    identity.load_or_make(tmp_path)
    (tmp_path / identity.CERTIFICATE).write_bytes(certificate("one").public_bytes(Encoding.DER))
    with pytest.raises(ValueError, match="remove both"):
        identity.load_or_make(tmp_path)
