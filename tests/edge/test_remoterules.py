"""What a pushed configuration may change, and what only the site can."""

import tomllib
from typing import Any

import pytest

from edge.remoterules import objection

SITE = """
[gateway]
name = "rig1"
hub = "https://hub.example"
[hub]
remote_configuration = true
[[device]]
name = "meter"
map = "small"
address = "192.0.2.1:502"
[[device]]
name = "plc"
map = "plc"
address = "opc.tcp://192.0.2.2:4840"
fingerprint = "ab"
username = "reader"
password_file = "credential:plc"
[[device]]
name = "valve"
map = "valve"
address = "192.0.2.3:502"
writable = ["setpoint", "mode"]
"""


def changed(old: str = "", new: str = "") -> dict[str, Any]:
    assert old in SITE
    return tomllib.loads(SITE.replace(old, new, 1) if old else SITE + new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("192.0.2.1:502", "192.0.2.9:502"),
        ('map = "small"', 'map = "other"'),
        ('[[device]]\nname = "meter"\nmap = "small"\naddress = "192.0.2.1:502"\n', ""),
        ("", '[[device]]\nname = "new"\nmap = "small"\naddress = "192.0.2.4:502"\nunit = 4\n'),
        ('["setpoint", "mode"]', '["mode"]'),
        ('writable = ["setpoint", "mode"]\n', ""),
        ('name = "valve"', 'name = "valve"\ntimeout = "2s"'),
    ],
    ids=["nothing", "address", "map", "device gone", "new device", "fewer writable", "none writable", "timeout"],
)
def test_devices_may_be_changed_by_the_hub(old: str, new: str) -> None:
    assert objection(tomllib.loads(SITE), changed(old, new)) == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hub.example", "evil.example", "[gateway] differs"),
        ("remote_configuration = true", 'remote_configuration = true\nca = "mine.pem"', "[hub] differs"),
        ("[hub]", '[health]\nlisten = "0.0.0.0:80"\n[hub]', "[health] differs"),
        ("[hub]", "[anything]\nyet = 1\n[hub]", "[anything] differs"),
        ("credential:plc", "env:OTHER", '"password_file" differs'),
        ('fingerprint = "ab"\n', "", '"fingerprint" differs'),
        ('fingerprint = "ab"', 'fingerprint = "ab"\nsecurity = "none"', '"security" differs'),
        ("192.0.2.2:4840", "192.0.2.66:4840", 'only the site can change its "address"'),
        ('map = "plc"', 'map = "other"', 'only the site can change its "map"'),
        ('["setpoint", "mode"]', '["setpoint", "mode", "speed"]', "cannot allow writing: speed"),
        ('map = "valve"', 'map = "other"', 'only the site can change its "map"'),
        ("192.0.2.1:502", "tls://192.0.2.1:802", "how a device is protected"),
        ("192.0.2.1:502", "me:secret@192.0.2.1:502", "cannot hold credentials"),
        ("", '[[device]]\nname = "n"\nmap = "m"\naddress = "192.0.2.4:1"\nwritable = ["x"]\n', "cannot have writable"),
        ("", '[[device]]\nname = "n"\nmap = "m"\naddress = "192.0.2.4:1"\nkey_file = "gateway.key"\n', "cannot have key_file"),
        ("", '[[device]]\nname = "n"\nmap = "m"\naddress = "mqtt://me:secret@192.0.2.4"\n', "cannot hold credentials"),
    ],
    ids=["hub", "authority", "health page", "a table of tomorrow", "password", "no fingerprint", "no security", "address of a credential",
         "map of a credential", "writing", "map of a writable", "kind of address", "credentials", "new writable", "new key", "new credentials"],
)  # fmt: skip
def test_what_guards_the_site_is_changed_by_the_site_only(old: str, new: str, words: str) -> None:
    assert words in objection(tomllib.loads(SITE), changed(old, new))


def test_permission_to_write_is_not_carried_to_another_device_by_its_name() -> None:
    swapped = SITE.replace('"meter"', '"x"').replace('"valve"', '"meter"').replace('"x"', '"valve"')
    assert "writ" in objection(tomllib.loads(SITE), tomllib.loads(swapped))
