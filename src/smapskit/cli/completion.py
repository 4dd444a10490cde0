"""The option `--completion`: print the completion script of a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from smapskit.cli.commands import ALL, COMMANDS, DEFAULT, build_parsers
from smapskit.cli.common import FAILURE, print_error
from smapskit.errors import SmapskitError

_FILES: Final = ("FILE", "PICTURE", "CAPTURE", "RECORDING", "PATH", "BEFORE", "AFTER")
"""The words of a metavar that stand for a file."""
_PIDS: Final = ("PID", "BEFORE", "AFTER")

_BASH: Final = """\
_smapskit_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}
_smapskit_files() {
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur")
}
_smapskit() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} word words='' pids='' files='' i
    COMPREPLY=()
    # Bash splits --by=kind in three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $word == --all && %(names)s != *" $command "* ]]; then command=--all; fi
    done
    if [[ $command == record ]]; then
        for ((i = 2; i < COMP_CWORD; i++)); do
            if [[ ${COMP_WORDS[i]} == -- ]]; then
                if ((i == COMP_CWORD - 1)); then
                    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
                fi
                _smapskit_files
                return
            fi
        done
    fi
    case $command:$prev in
%(values)s
    esac
    case $command in
%(options)s
    esac
    if [[ $cur != -* ]]; then words=; fi
    if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then words=%(names)s; fi
    if [[ $pids && $cur != -* ]]; then words+=" $(cd /proc 2>/dev/null && echo [0-9]*)"; fi
    _smapskit_words "$words"
    if [[ $files && $cur != -* ]]; then _smapskit_files; fi
}
complete -o filenames -F _smapskit smapskit

# python -m smapskit; everything else of python is completed as before.
_smapskit_python() {
    if [[ ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == smapskit ]] && ((COMP_CWORD > 2)); then
        local COMP_WORDS=(smapskit "${COMP_WORDS[@]:3}") COMP_CWORD=$((COMP_CWORD - 2))
        _smapskit
    elif [[ $_smapskit_next_python ]]; then
        "$_smapskit_next_python" "$@"
    fi
}
_smapskit_load_python() {
    local loader specification
    for loader in _comp_load _completion_loader; do
        if declare -F $loader >/dev/null; then
            $loader python >/dev/null 2>&1
            break
        fi
    done
    specification=$(complete -p python 2>/dev/null)
    if [[ $specification =~ \\ -F\\ ([^ ]+) && ${BASH_REMATCH[1]} != _smapskit_python ]]; then
        _smapskit_next_python=${BASH_REMATCH[1]}
    fi
    complete -o bashdefault -o default -o filenames -F _smapskit_python python python3
}
_smapskit_load_python
"""
_ZSH: Final = """\
#compdef smapskit
_smapskit_operands() {
    local expl kind
    for kind; do
        if [[ $kind == pids ]]; then
            local -a pids=(/proc/<->(N:t))
            _wanted processes expl 'process' compadd -a pids
        else
            _files
        fi
    done
}
_smapskit() {
    local command=${words[2]} curcontext=$curcontext
    local -a commands=(%(commands)s)
    if (( CURRENT > 2 )) && [[ -n ${(M)commands:#$command:*} ]]; then
        local -i at=${words[(i)--]}
        if [[ $command == record ]] && (( at < CURRENT )); then
            shift $at words
            (( CURRENT -= at ))
            _normal
            return
        fi
        shift words
        (( CURRENT-- ))
    else
        if (( CURRENT == 2 )) && [[ $command != -* ]]; then
            _describe command commands
        fi
        command=
        (( ${words[(I)--all]} )) && command=--all
    fi
    case $command in
%(cases)s
    esac
}
# In a file _smapskit of fpath, this is the body of the function; otherwise it is sourced.
if [[ ${funcstack[1]} == _smapskit ]]; then
    _smapskit "$@"
elif (( $+functions[compdef] )); then
    compdef _smapskit smapskit
else
    print -u2 'smapskit: run compinit before this script: autoload -Uz compinit && compinit'
fi
"""
_FISH: Final = """\
function __smapskit_is --argument-names wanted
    set -l words (commandline -opc)
    set -l command default
    if contains -- "$words[2]" %(names)s
        set command $words[2]
    else if contains -- --all $words
        set command all
    end
    test "$command" = "$wanted"
end
complete -c smapskit -f
%(lines)s
"""
SHELLS: Final = ("bash", "zsh", "fish")


def run(words: Sequence[str]) -> int:
    """Print the completion script of a shell."""
    scripts = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    shell = words[0] if len(words) == 1 else ""
    if shell not in scripts:
        print_error(SmapskitError(f"expected --completion and one of {', '.join(SHELLS)}"))
        return FAILURE
    print(scripts[shell](), end="")
    return 0


class Argument(NamedTuple):
    """An option or the operands of a command, as shells need it."""

    names: tuple[str, ...]
    """The option strings; none for operands."""
    help: str
    metavar: str
    """What the value is; "" for an option without a value."""
    choices: tuple[str, ...]
    is_repeatable: bool

    @property
    def values(self) -> tuple[str, ...]:
        """What may be completed as the value: "pids", "files", both or neither."""
        words = self.metavar.replace("|", " ").split()
        pids = ("pids",) if not {*words}.isdisjoint(_PIDS) else ()
        return (*pids, "files") if not {*words}.isdisjoint(_FILES) else pids


def arguments(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    """Yield the options of a parser and its operands, except those that are not in the help."""
    for action in parser._actions:  # noqa: SLF001  argparse has no other list of them
        if action.help == argparse.SUPPRESS:
            continue
        choices = tuple(map(str, action.choices or ()))
        metavar = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
        yield Argument(
            names=tuple(action.option_strings),
            help=(action.help or "").replace("%%", "%"),
            metavar=metavar,
            choices=choices,
            is_repeatable=action.nargs in ("*", "+") or "Append" in type(action).__name__,
        )


# ---- bash ---------------------------------------------------------------------------------


def _bash() -> str:
    values, options = [], []
    for name, parser in build_parsers().items():
        found = list(arguments(parser))
        for each in found:
            if each.names and each.metavar:
                patterns = "|".join(f"{name or '*'}:{option}" for option in each.names)
                values.append(f"        {patterns}) {_bash_values(each)} ;;")
        names = " ".join(option for each in found for option in each.names)
        operands = {kind for each in found if not each.names for kind in each.values}
        flags = "".join(f" {kind}=1" for kind in sorted(operands))
        options.append(f'        {name or "*"}) words="{names}"{flags} ;;')
    # The patterns of the default command match all others, so that it is the last one.
    values.sort(key=lambda line: line.lstrip().startswith("*"))
    options.sort(key=lambda line: line.lstrip().startswith("*"))
    names = f'" {" ".join(COMMANDS)} "'
    return _BASH % {"values": "\n".join(values), "options": "\n".join(options), "names": names}


def _bash_values(argument: Argument) -> str:
    if argument.choices:
        return f'_smapskit_words "{" ".join(argument.choices)}"; return'
    return "_smapskit_files; return" if argument.values else "return"


# ---- zsh ----------------------------------------------------------------------------------


def _zsh() -> str:
    cases = []
    for name, parser in build_parsers().items():
        lines = [f"            {_zsh_specification(each)}" for each in arguments(parser)]
        specifications = " \\\n".join(lines)
        cases.append(f"        {name or '*'})\n            _arguments -S \\\n{specifications} ;;")
    cases.append(cases.pop(0))
    commands = " ".join(_quote(f"{name}:{summary}") for name, summary in COMMANDS.items())
    return _ZSH % {"commands": commands, "cases": "\n".join(cases)}


def _zsh_specification(argument: Argument) -> str:
    """Return the specification of _arguments for an option or for operands."""
    value = f"{argument.metavar}:{_zsh_action(argument)}"
    if not argument.names:
        return _quote(f"*:{value}" if argument.is_repeatable else f":{value}")
    text = _escape_zsh(argument.help)
    names = argument.names
    others = "*" if argument.is_repeatable else f"({' '.join(names)})"
    # A value is a word of its own, or follows "=" for a long option and nothing for a short one.
    suffixed = [_zsh_option(option, has_value=bool(argument.metavar)) for option in names]
    names_in_braces = suffixed[0] if len(names) == 1 else f"{{{','.join(suffixed)}}}"
    end = f"[{text}]:{value}" if argument.metavar else f"[{text}]"
    return f"{_quote(others)}{names_in_braces}{_quote(end)}"


def _zsh_option(option: str, *, has_value: bool) -> str:
    return f"{option}{'=' if option.startswith('--') else '+'}" if has_value else option


def _zsh_action(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    return f"_smapskit_operands {' '.join(argument.values)}" if argument.values else " "


def _escape_zsh(text: str) -> str:
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _quote(text: str) -> str:
    quoted = text.replace("'", "'\\''")
    return f"'{quoted}'"


# ---- fish ---------------------------------------------------------------------------------


def _fish() -> str:
    lines = []
    for name, parser in build_parsers().items():
        condition = {DEFAULT: "default", ALL: "all"}.get(name, name)
        start = f"complete -c smapskit -n '__smapskit_is {condition}'"
        for each in arguments(parser):
            names = [
                f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                for option in each.names
            ]
            text = f" -d {_quote_fish(each.help)}" if each.names else ""
            lines.append(f"{start} {' '.join(names)}{_fish_values(each)}{text}")
    for name, summary in COMMANDS.items():
        lines.append(
            "complete -c smapskit -n '__smapskit_is default; and __fish_is_first_token' "
            f"-a {name} -d {_quote_fish(summary)}"
        )
    return _FISH % {"names": " ".join(COMMANDS), "lines": "\n".join(lines)}


def _fish_values(argument: Argument) -> str:
    if argument.choices:
        return f" -xa '{' '.join(argument.choices)}'"
    pids = " -a '(__fish_complete_pids)'" if "pids" in argument.values else ""
    if "files" in argument.values:
        return f"{' -r' if argument.names else ''} -F{pids}"
    return f"{' -x' if argument.names and argument.metavar else ''}{pids}"


def _quote_fish(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"
