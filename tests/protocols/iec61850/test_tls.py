"""IEC 62351-3: both sides show certificates; who is not trusted gets no association, and nothing goes in clear."""

import dataclasses
import datetime
import importlib.util

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from protocols.driver import DeviceUnreachable, DriverSetup
from protocols.iec61850.plan import Settings, Tls
from tests.protocols.iec61850.field import TAGS, device_of, read_until, reading, served, step_at

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyiec61850") is None, reason="pyiec61850-ng is not installed")


class Authority:
    """Makes certificates in a folder."""

    def __init__(self, folder, name):
        self._folder, self._name = folder, name
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = self._write(f"{name}.crt", self._certificate(self._subject, self._key.public_key(), 1, authority=True))

    def _write(self, name, thing):
        path = self._folder / name
        path.write_bytes(thing.public_bytes(serialization.Encoding.PEM))
        return path

    def _certificate(self, subject, key, days, *, authority):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._subject).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=3)).not_valid_after(now + datetime.timedelta(days=days))
        return builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True).sign(self._key, hashes.SHA256())

    def revoke(self, member):
        """A list of certificates that are trusted no longer."""
        now = datetime.datetime.now(datetime.UTC)
        number = x509.load_pem_x509_certificate(member.certificate_file.read_bytes()).serial_number
        revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - datetime.timedelta(hours=1)).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._subject).add_revoked_certificate(revoked)
        builder = builder.last_update(now - datetime.timedelta(hours=1)).next_update(now + datetime.timedelta(days=1))
        return self._write(f"{number}.crl", builder.sign(self._key, hashes.SHA256()))

    def member(self, name, trusts=None, days=1):
        """The settings of a peer that this authority vouches for."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._write(f"{name}.crt", self._certificate(subject, key.public_key(), days, authority=False))
        private = self._folder / f"{name}.key"
        private.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        )
        return Tls((trusts or self).file, certificate, private)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"), "site")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("theirs"), "stranger")


@pytest.fixture(scope="module")
def relay(ours):
    return ours.member("relay")


@pytest.fixture(scope="module")
def gateway(ours):
    return ours.member("gateway")


async def joined(closing, relay, tls):
    """A driver for a device that speaks TLS only."""
    _, reached = await served(closing, device_of(TAGS[:1]), step_at(0, [7]), tls=relay)
    return reading(closing, dataclasses.replace(reached, settings=Settings(timeout_us=2_000_000, tls=tls)))


async def test_values_come_over_tls_with_certificates_on_both_sides(closing, relay, gateway):
    driver = await joined(closing, relay, gateway)
    await driver.open()
    assert [value for _, _, value, _ in await read_until(driver, 1)] == [7]


async def test_a_named_certificate_of_the_device_is_accepted(closing, relay, gateway):
    driver = await joined(closing, relay, dataclasses.replace(gateway, server_certificate_file=relay.certificate_file))
    await driver.open()
    assert [value for _, _, value, _ in await read_until(driver, 1)] == [7]


async def test_another_device_than_the_named_one_is_refused(closing, relay, gateway, ours):
    other = ours.member("other")
    driver = await joined(closing, relay, dataclasses.replace(gateway, server_certificate_file=other.certificate_file))
    with pytest.raises(DeviceUnreachable, match="no TLS association"):
        await driver.open()


async def test_a_device_of_a_stranger_is_refused(closing, theirs, gateway, ours):
    driver = await joined(closing, theirs.member("impostor", trusts=ours), gateway)
    with pytest.raises(DeviceUnreachable, match="no TLS association"):
        await driver.open()


async def test_a_device_with_an_expired_certificate_is_refused(closing, gateway, ours):
    driver = await joined(closing, ours.member("old", days=-1), gateway)
    with pytest.raises(DeviceUnreachable, match="no TLS association"):
        await driver.open()


@pytest.mark.parametrize("which", ["relay", "another"])
async def test_a_device_whose_certificate_was_revoked_is_refused(closing, relay, gateway, ours, which):
    revoked = ours.revoke(relay if which == "relay" else ours.member("another"))
    driver = await joined(closing, relay, dataclasses.replace(gateway, crl_file=revoked))
    if which == "relay":
        with pytest.raises(DeviceUnreachable, match="no TLS association"):
            await driver.open()
    else:
        await driver.open()


async def test_a_gateway_that_the_device_does_not_trust_is_refused(closing, relay, theirs, ours):
    driver = await joined(closing, relay, theirs.member("guest", trusts=ours))
    with pytest.raises(DeviceUnreachable, match="association"):
        await driver.open()


async def test_a_device_in_clear_is_not_read_by_a_driver_that_wants_tls(closing, gateway):
    driver = await joined(closing, None, gateway)
    with pytest.raises(DeviceUnreachable, match="no TLS association"):
        await driver.open()


async def test_a_device_that_wants_tls_is_not_read_in_clear(closing, relay):
    driver = await joined(closing, relay, None)
    with pytest.raises(DeviceUnreachable, match="association"):
        await driver.open()


@pytest.mark.parametrize("key", ["ca_file", "certificate_file", "key_file", "server_certificate_file", "crl_file"])
async def test_a_file_that_cannot_be_used_is_named(gateway, tmp_path, key):
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    settings = Settings(timeout_us=1_000_000, tls=dataclasses.replace(gateway, **{key: broken}))
    device = dataclasses.replace(device_of(TAGS[:1]), address="127.0.0.1:1", settings=settings)
    driver = reading(lambda _: None, device)
    with pytest.raises(DriverSetup, match=f'"{key}".*broken.pem'):
        await driver.open()
    await driver.close()
