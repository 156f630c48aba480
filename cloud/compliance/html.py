"""A finding as a page that explains itself: plain HTML, everything escaped, no script. Not the pages of the hub.

As a file it carries its style; over HTTP it names the stylesheet, because the hub's content policy lets no style stand in a document.
"""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from cloud.compliance.deal_facts import Contradiction
from cloud.compliance.rules import Finding
from cloud.compliance.trace import Node, said, shown

STYLE: Final = (
    ":root{color-scheme:light dark}body{font-family:serif;max-width:50em;margin:2em auto;padding:0 1em;line-height:1.4;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;margin:.3em 0}td,th{border:1px solid #999;padding:.1em .5em;text-align:left;vertical-align:top}"
    "section{border-left:3px solid #999;padding-left:1em;margin:1em 0}.digest{font-family:monospace;overflow-wrap:anywhere}"
)


def page(finding: Finding, known: str, contradictions: Iterable[Contradiction] = (), stylesheet: str = "") -> str:
    """known: the moment whose knowledge counts, in words. stylesheet: the address of STYLE; without one the page carries it."""
    style = f'<link rel="stylesheet" href="{escape(stylesheet)}">' if stylesheet else f"<style>{STYLE}</style>"
    head = f"{finding.key.rule} {finding.title}: {finding.outcome.value}"
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">',
            f"<title>{escape(head)}</title>{style}</head><body>",
            f"<h1>{escape(head)}</h1><p><strong>{escape(finding.why)}</strong></p>",
            _about(finding, known),
            "".join(f"<p>Contradiction in {escape(one.kind)}: {escape(one.detail)}</p>" for one in contradictions),
            "<h2>How it was decided</h2>",
            *(_node(node) for node in finding.trace),
            _key(finding),
            "</body></html>",
        ]
    )


def _about(finding: Finding, known: str) -> str:
    rows = [
        ("On", finding.subject),
        ("Law as of", finding.key.as_of.isoformat()),
        ("Facts as known at", known),
        ("Supposing", ", ".join(finding.key.scenarios) or "nothing beyond confirmed law"),
        *(("Source", one) for one in finding.cites),
        ("Severity", finding.severity.value),
        ("Owner", finding.owner),
    ]
    return _table(rows)


def _key(finding: Finding) -> str:
    key = finding.key
    rows = [
        ("finding", finding.digest.hex()),
        ("rule", key.rule_version),
        ("parameters", key.parameters),
        ("facts", key.facts),
    ]
    cells = "".join(f'<tr><th>{name}</th><td class="digest">{escape(value)}</td></tr>' for name, value in rows)
    return f"<h2>What it can be checked by</h2><table>{cells}</table>"


def _node(node: Node) -> str:
    head = said(node.name, node.value, " = ") if node.value else node.name
    formula = f"<p>because {escape(node.formula)}</p>" if node.formula else ""
    return f"<section><h3>{escape(head)}</h3>{formula}{''.join(_inputs(node))}{''.join(map(_node, node.children))}</section>"


def _inputs(node: Node) -> Iterator[str]:
    if node.inputs:
        yield _table([(name.removesuffix("_us"), value) for name, value in node.inputs], "Facts")
    for used in node.parameters:
        yield _table(
            [
                ("Law", used.id),
                ("Value", f"{shown(used.value)} {used.unit}"),
                ("In force from", used.start.isoformat()),
                ("Status", used.status.value),
                ("Source", used.reference),
            ]
        )


def _table(rows: Iterable[tuple[str, str]], title: str = "") -> str:
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}{''.join(f'<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)}</table>"
