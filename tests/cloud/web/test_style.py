"""The style sheet: contrast of every pair of colours in both themes (WCAG 2.2, 1.4.3 and 1.4.11), and no side that is left or right."""

import re

import pytest

from cloud.web import pages

SHEETS = [pages.STATIC / "app.css"]
TOKEN = re.compile(r"--(\w+): light-dark\((#[0-9A-F]{6})(?:[0-9A-F]{2})?, (#[0-9A-F]{6})(?:[0-9A-F]{2})?\)")
TOKENS = {name: (light, dark) for name, light, dark in TOKEN.findall((pages.STATIC / "app.css").read_text())}
CHIPS = re.findall(
    r"\.(p\d|count\.some|offline) \{ background: (#[0-9A-F]{6}); color: (#[0-9A-F]{6})", (pages.STATIC / "app.css").read_text()
)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standards_own_examples() -> None:
    assert contrast("#000000", "#FFFFFF") == 21
    assert 4.53 < contrast("#767676", "#FFFFFF") < 4.55


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["bg", "panel"])
@pytest.mark.parametrize("name", ["text", "muted", "bad", "warn", "third", "fourth", "gain", "loss"])
def test_text_stands_out_from_its_ground(name: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[name][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["line", "focus", "trace"])
def test_lines_and_marks_stand_out_from_the_ground(name: str, theme: int) -> None:
    assert contrast(TOKENS[name][theme], TOKENS["bg"][theme]) >= 3


@pytest.mark.parametrize(("name", "ground", "text"), CHIPS, ids=[chip[0] for chip in CHIPS])
def test_the_text_of_a_chip_stands_out(name: str, ground: str, text: str) -> None:
    assert name
    assert contrast(text, ground) >= 4.5


def test_the_four_priorities_have_a_chip() -> None:
    assert {"p1", "p2", "p3", "p4"} <= {chip[0] for chip in CHIPS}


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: str(path.name))
def test_no_rule_names_a_left_or_right_side(sheet: object) -> None:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)  # type: ignore[attr-defined]
    sides = r"(?<![-\w])(?:left|right|(?:margin|padding|border|inset)-(?:left|right|top|bottom)|text-align:\s*(?:left|right)|(?:min-|max-)?(?:width|height)(?=:))"
    found = [rule for rule in re.findall(r"[^{};]+[{;]", text) if not rule.strip().startswith("@media") and re.search(sides, rule)]
    assert found == []
