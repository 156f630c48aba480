"""A secret is read from where the configuration points, and shows nowhere else."""

from pathlib import Path

import pytest

from protocols.mqtt.plan import parse_settings as mqtt_settings
from protocols.opcua.plan import parse_settings as opcua_settings
from protocols.secret import Secret, SecretMissing, parse_secret, read_secret
from protocols.tomlfile import ConfigError, Section, TomlFile

CANARY = "canary-7f3a91"


def section(folder: Path, text: str) -> Section:
    (folder / "gateway.toml").write_text(text)
    return TomlFile.read(folder / "gateway.toml").root


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "plain").write_text(f"{CANARY}\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "broker").write_text(f"{CANARY}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("BROKER", CANARY)
    return tmp_path


@pytest.mark.parametrize("reference", ["plain", "env:BROKER", "credential:broker"])
def test_secret_is_read_by_reference_and_the_reference_alone_is_shown(places: Path, reference: str) -> None:
    found = parse_secret(section(places, f'password_file = "{reference}"'), "password_file")
    assert found is not None
    assert read_secret(found) == CANARY
    assert CANARY not in f"{found} {found!r}"


@pytest.mark.parametrize("reference", ["env:BROKER", "credential:broker"])
def test_drivers_of_both_protocols_take_references(places: Path, reference: str) -> None:
    keys = f'username = "u"\npassword_file = "{reference}"\n'
    settings = [
        mqtt_settings(section(places, f'address = "mqtt://b:1"\n{keys}')),
        opcua_settings(section(places, f'address = "opc.tcp://b:1"\n{keys}')),
    ]
    for one in settings:
        assert str(one.password_file) == reference
        assert one.password_file is not None
        assert read_secret(one.password_file) == CANARY
        assert CANARY not in repr(one)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (Secret("env", "ABSENT"), "env:ABSENT: the environment variable is not set"),
        (Secret("credential", "absent"), "credential:absent cannot be read: No such file"),
        (Path("/nowhere/secret"), "/nowhere/secret cannot be read: No such file"),
    ],
    ids=["environment", "credential", "file"],
)
def test_absent_secret_is_told_by_its_reference(places: Path, reference: Path | Secret, says: str) -> None:
    with pytest.raises(SecretMissing, match=says):
        read_secret(reference)


def test_credential_outside_systemd_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretMissing, match="LoadCredential=broker"):
        read_secret(Secret("credential", "broker"))


def test_secret_that_is_no_text_is_refused_without_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(SecretMissing, match="UTF-8") as caught:
        read_secret(tmp_path / "odd")
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("reference", ["env:", "credential:../etc/passwd", "env:A=B", "credential:.."])
def test_reference_that_cannot_be_meant_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ConfigError, match="expected a name after"):
        parse_secret(section(tmp_path, f'password_file = "{reference}"'), "password_file")
