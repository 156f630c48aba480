"""What the pages say: every text of the modules, as the keys of the catalogues. `python -m tests.cloud.web.said ar` lists what a language lacks."""

import json
import re
import sys
from pathlib import Path

from cloud.web import pages

_TEXT = re.compile(r"""\bt\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|`([^`$]*)`)""")
_WORDS = re.compile(r"//\s*said:\s*(.+)")
_TITLES = re.compile(r'title: "([^"]+)"')


def texts() -> dict[str, str]:
    """text -> the module that says it: literals in t(...), words listed in comments `// said: a, b` (or `a; b` where one has a comma), titles of pages, names of ranges."""
    found: dict[str, str] = {}
    for module in sorted(pages.STATIC.rglob("*.mjs")):
        if module.parent.name == "vendor":
            continue
        source = module.read_text(encoding="utf-8")
        said = [next(group for group in match if group is not None and group != "") for match in _TEXT.findall(source) if any(match)]
        said += [word.strip() for line in _WORDS.findall(source) for word in line.split(";" if ";" in line else ",")]
        if module.name == "place.mjs":
            said += _TITLES.findall(source)
        for text in said:
            found.setdefault(json.loads(f'"{text}"') if "\\" in text else text, str(module.relative_to(pages.STATIC)))
    return found


def catalogue(language: str) -> dict[str, str | dict[str, str]]:
    read: dict[str, str | dict[str, str]] = json.loads(Path(pages.STATIC / "i18n" / f"{language}.json").read_text(encoding="utf-8"))
    return read


if __name__ == "__main__":
    known = catalogue(sys.argv[1])
    for text, module in texts().items():
        if text not in known:
            print(f"{module}: {text}")
