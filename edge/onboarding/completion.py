"""`qenergyz edge completion bash|zsh|fish`: a script for the shell, made from the parsers themselves.

To use it: `source <(qenergyz edge completion bash)`, or write it into the folder that the shell reads.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.onboarding.output import OK, Output

SHELLS: Final = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Word:
    """An option or a sub-command."""

    text: str
    help: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace, out: Output) -> int:
    out.data({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](words()))
    return OK


def words() -> Mapping[str, tuple[Word, ...]]:
    """Under "" the commands of `qenergyz edge`; under each its options and fixed choices."""
    from edge import cli, importing
    from edge.onboarding import commands

    top = _subparsers(cli.parser_of_all())
    helps = {action.dest: action.help or "" for action in top._choices_actions}
    found = {"": tuple(Word(name, helps.get(name, "")) for name in top.choices)}
    for name, parser in top.choices.items():
        if name in commands.COMMANDS:
            parser = commands.parser_of(name)  # noqa: PLW2901
        elif name in ("import", "export"):
            parser = importing._parser(name)  # noqa: PLW2901
        found[name] = tuple(_of(parser))
    return found


def _subparsers(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def _of(parser: argparse.ArgumentParser) -> list[Word]:
    found: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found.setdefault(name, below.description or "")
                found |= {word.text: word.help for word in _of(below)}
        elif action.option_strings:
            found[action.option_strings[-1]] = action.help or ""
        elif action.choices:
            found |= {str(choice): action.help or "" for choice in action.choices}
    return [Word(text, text_help) for text, text_help in found.items()]


def bash(known: Mapping[str, tuple[Word, ...]]) -> str:
    cases = "\n".join(f"    {name}) words='{' '.join(word.text for word in below)}' ;;" for name, below in known.items() if name)
    top = " ".join(word.text for word in known[""])
    return f"""_qenergyz_edge() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words=''
  [[ ${{COMP_WORDS[1]}} == edge ]] || {{ [[ $COMP_CWORD == 1 ]] && COMPREPLY=($(compgen -W 'edge hub sim demo verify' -- "$current")); return; }}
  if [[ $COMP_CWORD == 2 ]]; then COMPREPLY=($(compgen -W '{top}' -- "$current")); return; fi
  case ${{COMP_WORDS[2]}} in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $current != -* ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}}
complete -o filenames -F _qenergyz_edge qenergyz"""


def zsh(known: Mapping[str, tuple[Word, ...]]) -> str:
    top = "\n".join(f"    {_single(f'{word.text}:{_short(word.help)}')}" for word in known[""])
    cases = "\n".join(
        f"    {name}) options=({' '.join(_single(f'{_colon(word.text)}:{_short(word.help)}') for word in below)}) ;;"
        for name, below in known.items()
        if name
    )
    return f"""#compdef qenergyz
_qenergyz() {{
  local -a commands options
  if (( CURRENT == 2 )); then compadd edge hub sim demo verify; return; fi
  [[ $words[2] == edge ]] || return
  commands=(
{top}
  )
  if (( CURRENT == 3 )); then _describe command commands; return; fi
  case $words[3] in
{cases}
  esac
  _describe option options
  _files
}}
compdef _qenergyz qenergyz"""


def fish(known: Mapping[str, tuple[Word, ...]]) -> str:
    lines = ["complete -c qenergyz -n __fish_use_subcommand -f -a 'edge hub sim demo verify'"]
    names = " ".join(word.text for word in known[""])
    inside = f"__fish_seen_subcommand_from edge; and not __fish_seen_subcommand_from {names}"
    lines += [f"complete -c qenergyz -n '{inside}' -f -a {word.text} -d {_single(_short(word.help))}" for word in known[""]]
    for name, below in known.items():
        for word in below if name else ():
            flag = f"-l {word.text[2:]}" if word.text.startswith("--") else f"-a {word.text}"
            if not word.text.startswith("-") or word.text.startswith("--"):
                lines.append(f"complete -c qenergyz -n '__fish_seen_subcommand_from {name}' {flag} -d {_single(_short(word.help))}")
    return "\n".join(lines)


def _short(text: str) -> str:
    return " ".join(text.replace("%%", "%").split())[:70]


def _single(text: str) -> str:
    return "'" + text.replace("\\", "").replace("'", "") + "'"


def _colon(text: str) -> str:
    return text.replace(":", "\\:")
