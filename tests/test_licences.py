import json
from pathlib import Path

import pytest

from tests import licences
from tests.licences import COPYLEFT_EXTRA, DEFAULT, GPL_JUDGED, LGPL_JUDGED, Judgement, Package

PACKAGES = licences.installed()


@pytest.mark.parametrize("extra", DEFAULT, ids=lambda extra: extra or "always")
def test_default_install_brings_no_copyleft_and_no_unknown_licence(extra: str) -> None:
    brought = licences.closure(licences.wanted_by(extra), PACKAGES)
    assert brought
    assert licences.refused(brought, PACKAGES) == []


def test_gpl_binding_comes_with_its_own_extra_alone() -> None:
    brought = licences.closure(licences.wanted_by(COPYLEFT_EXTRA), PACKAGES)
    assert {name for name in brought if licences.judged(PACKAGES[name].licence) is Judgement.COPYLEFT} == set(GPL_JUDGED)


def test_every_judged_lgpl_library_is_still_installed_under_it() -> None:
    assert {licences.judged(PACKAGES[name].licence) for name in LGPL_JUDGED} == {Judgement.LIBRARY}


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("MIT", Judgement.PERMISSIVE),
        ("Apache-2.0 OR GPL-3.0-only", Judgement.PERMISSIVE),
        ("EPL-2.0 OR BSD-3-Clause", Judgement.PERMISSIVE),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", Judgement.FILE_COPYLEFT),
        ("GPL-3.0-only AND (Apache-2.0 OR MIT)", Judgement.COPYLEFT),
        ("(MIT OR Apache-2.0) AND BSD-3-Clause", Judgement.PERMISSIVE),
        ("MIT AND GPL-2.0-or-later", Judgement.COPYLEFT),
        ("GNU General Public License v3 (GPLv3)", Judgement.COPYLEFT),
        ("AGPL-3.0-only", Judgement.COPYLEFT),
        ("GNU Lesser General Public License v3 or later (LGPLv3+)", Judgement.LIBRARY),
        ("LGPL-3.0-only", Judgement.LIBRARY),
        ("MPL-2.0", Judgement.FILE_COPYLEFT),
        ("", Judgement.UNKNOWN),
        ("Proprietary", Judgement.UNKNOWN),
    ],
)
def test_licence_is_judged_by_its_words(licence: str, verdict: Judgement) -> None:
    assert licences.judged(licence) is verdict


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "Proprietary", "", "LGPL-2.1-only"])
def test_a_new_copyleft_or_unknown_dependency_is_refused_by_name(licence: str) -> None:
    (said,) = licences.refused(["newcomer"], {"newcomer": Package("newcomer", "1", licence, ())})
    assert said.startswith("newcomer 1 ")


def test_requirements_are_followed_through_extras() -> None:
    packages = {
        "a": Package("a", "1", "MIT", ("b[c]", "z; extra == 'other'")),
        "b": Package("b", "1", "MIT", ("d; extra == 'c'", "a")),
        "d": Package("d", "1", "MIT", ()),
        "z": Package("z", "1", "MIT", ()),
    }
    assert licences.closure(["a>=1"], packages) == {"a", "b", "d"}


def test_bill_of_materials_names_every_package_of_the_product_and_is_the_same_twice(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    assert [licences.main(["--sbom", str(file)]) for file in files] == [0, 0]
    assert files[0].read_bytes() == files[1].read_bytes()
    told = json.loads(files[0].read_text())
    names = {component["name"] for component in told["components"]}
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert {"numpy", "fastapi", "psycopg", "pyiec61850-ng"} <= names
    assert "pytest" not in names
