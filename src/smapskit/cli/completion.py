"""The option `--completion`: print the completion script of a shell."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from smapskit.cli import show, system
from smapskit.cli.commands import COMMANDS
from smapskit.cli.common import FAILURE, print_error
from smapskit.errors import SmapskitError

_BASH = """\
_smapskit() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words
    case ${COMP_WORDS[1]} in
%(cases)s
    esac
    case $prev in
%(choices)s
        *) [[ $cur == -* ]] || words+=" $(cd /proc 2>/dev/null && echo [0-9]*)" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    [[ $cur == -* ]] || COMPREPLY+=($(compgen -f -- "$cur"))
}
complete -o filenames -F _smapskit smapskit
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"
SHELLS = ("bash", "zsh", "fish")


def run(words: Sequence[str]) -> int:
    """Print the completion script of a shell."""
    shell = words[0] if len(words) == 1 else ""
    if shell not in SHELLS:
        print_error(SmapskitError(f"expected --completion and one of {', '.join(SHELLS)}"))
        return FAILURE
    print(_fish() if shell == "fish" else (_ZSH if shell == "zsh" else "") + _bash(), end="")
    return 0


def _parsers() -> dict[str, argparse.ArgumentParser]:
    named = [name for name in COMMANDS if name.isalpha()]
    modules = {name: importlib.import_module(f"smapskit.cli.{COMMANDS[name]}") for name in named}
    return {
        **{name: module.build_parser() for name, module in modules.items()},
        "--all": system.build_parser(),
        "": show.build_parser(),
    }


def _bash() -> str:
    parsers = _parsers()
    commands = "".join(f" {name}" for name in parsers if name.isalpha())
    cases = [
        f'        {name or "*"}) words="{" ".join(_options(parser))}{"" if name else commands}" ;;'
        for name, parser in parsers.items()
    ]
    choices = {
        "|".join(action.option_strings): " ".join(map(str, action.choices))
        for parser in parsers.values()
        for action in parser._actions  # noqa: SLF001  argparse has no other list of them
        if action.option_strings and action.choices
    }
    known = [f'        {names}) words="{words}" ;;' for names, words in choices.items()]
    return _BASH % {"cases": "\n".join(cases), "choices": "\n".join(known)}


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [word for action in parser._actions for word in action.option_strings]  # noqa: SLF001


def _fish() -> str:
    lines = []
    for name, parser in _parsers().items():
        condition = f"__fish_seen_subcommand_from {name}" if name else "__fish_use_subcommand"
        for action in parser._actions:  # noqa: SLF001
            words = [
                f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
                for word in action.option_strings
            ]
            if words and action.help != argparse.SUPPRESS:
                description = (action.help or "").replace("'", "").replace("%(default)s", "")
                choices = f" -xa '{' '.join(map(str, action.choices))}'" if action.choices else ""
                line = f"complete -c smapskit -n '{condition}' {' '.join(words)}"
                lines.append(f"{line} -d '{description}'{choices}")
    commands = " ".join(name for name in COMMANDS if name.isalpha())
    lines.append(f"complete -c smapskit -n __fish_use_subcommand -a '{commands}'")
    return "\n".join(lines) + "\n"
