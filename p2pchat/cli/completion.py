"""Completions for bash, zsh and fish, written from the table of commands.

They know commands, options and fixed choices. Contacts they do not know: their names are in the
encrypted store, and a press of Tab must not ask for a passphrase.
"""

from __future__ import annotations

from typing import Final

from p2pchat.cli.commands import COMMANDS
from p2pchat.cli.table.grammar import PROFILE_OPTIONS, Argument, Command

_FILE_METAVARS: Final = frozenset({"FILE", "NAME|DIR", "DIR", "FILE|HOST:PORT"})
"""Where a file name is a sensible guess."""
_GLOBAL: Final = (*PROFILE_OPTIONS, Argument("--version", "show the version", action="version"))
_HELP: Final = Argument("--help", "show help", action="help")


def script(shell: str) -> str:
    """Return the script for ``bash``, ``zsh`` or ``fish``, to be sourced or installed."""
    match shell:
        case "bash":
            return _bash()
        case "zsh":
            return _zsh()
        case "fish":
            return _fish()
        case _:
            raise ValueError(shell)


def _options(command: Command) -> tuple[Argument, ...]:
    """Return the options that may follow the command."""
    own = tuple(argument for argument in command.arguments if argument.name.startswith("-"))
    return (*own, *(PROFILE_OPTIONS if command.opens_profile else ()), _HELP)


def _positionals(command: Command) -> tuple[Argument, ...]:
    return tuple(argument for argument in command.arguments if not argument.name.startswith("-"))


def _takes_value(option: Argument) -> bool:
    return option.settings.get("action") not in ("store_true", "version", "help")


def _choices(argument: Argument) -> tuple[str, ...]:
    return tuple(argument.settings.get("choices", ()))


def _is_file(argument: Argument) -> bool:
    return argument.settings.get("metavar") in _FILE_METAVARS


def _bash() -> str:
    every = [*_GLOBAL, *(option for command in COMMANDS for option in _options(command))]
    valued = sorted({option.name for option in every if _takes_value(option)})
    names = " ".join(command.name for command in COMMANDS)
    lines = [
        "# bash completion of p2pchat: source it, or put it into bash-completion's folder",
        "_p2pchat() {",
        '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"',
        '    local command="" word index skip=0',
        "    for ((index = 1; index < COMP_CWORD; index++)); do",
        '        word="${COMP_WORDS[index]}"',
        "        if ((skip)); then skip=0; continue; fi",
        '        case "$word" in',
        f"            {'|'.join(valued)}) skip=1 ;;",
        "            -*) ;;",
        '            *) command="$word"; break ;;',
        "        esac",
        "    done",
        '    case "$previous" in',
    ]
    for option in _unique(every):
        if _choices(option):
            words = " ".join(_choices(option))
            lines.append(
                f'        {option.name}) COMPREPLY=($(compgen -W "{words}" -- "$current")); '
                "return ;;"
            )
        elif _is_file(option):
            lines.append(
                f'        {option.name}) COMPREPLY=($(compgen -f -- "$current")); return ;;'
            )
        elif _takes_value(option):
            lines.append(f"        {option.name}) return ;;")
    lines += ["    esac", '    case "$command" in']
    for command in COMMANDS:
        known = [option.name for option in _options(command)]
        known += [word for argument in _positionals(command) for word in _choices(argument)]
        reply = f'COMPREPLY=($(compgen -W "{" ".join(known)}" -- "$current")'
        if any(_is_file(argument) for argument in _positionals(command)):
            reply += ' $(compgen -f -- "$current")'
        lines.append(f"        {command.name}) {reply}) ;;")
    top = " ".join(option.name for option in (*_GLOBAL, _HELP))
    lines += [
        f'        "") COMPREPLY=($(compgen -W "{names} {top}" -- "$current")) ;;',
        "    esac",
        "}",
        "complete -F _p2pchat p2pchat",
    ]
    return "\n".join(lines) + "\n"


def _zsh() -> str:
    lines = [
        "#compdef p2pchat",
        "# zsh completion of p2pchat: as _p2pchat in a folder of $fpath",
        "_p2pchat() {",
        "    local context state state_descr line",
        "    typeset -A opt_args",
        "    local -a commands=(",
        *(f"        {_quoted(f'{command.name}:{command.help}')}" for command in COMMANDS),
        "    )",
        "    _arguments -C \\",
        *(f"        {_zsh_option(option)} \\" for option in (*_GLOBAL, _HELP)),
        "        '1:command:{_describe command commands}' '*::argument:->argument'",
        "    [[ $state == argument ]] || return",
        "    case $words[1] in",
    ]
    for command in COMMANDS:
        specs = [_zsh_option(option) for option in _options(command)]
        specs += [_zsh_positional(argument) for argument in _positionals(command)]
        lines.append(f"        {command.name}) _arguments {' '.join(specs)} ;;")
    # Loaded by a first Tab it answers that one; sourced, it only announces itself.
    lines += ["    esac", "}", "compdef _p2pchat p2pchat"]
    lines.append('if [[ $funcstack[1] == _p2pchat ]]; then _p2pchat "$@"; fi')
    return "\n".join(lines) + "\n"


def _zsh_option(option: Argument) -> str:
    spec = f"{option.name}[{option.help}]"
    if _takes_value(option):
        spec += f":{option.settings.get('metavar', 'value')}:{_zsh_action(option)}"
    return _quoted(spec)


def _zsh_positional(argument: Argument) -> str:
    place = "*" if argument.settings.get("nargs") == "+" else ""
    return _quoted(f"{place}:{argument.settings['metavar']}:{_zsh_action(argument)}")


def _zsh_action(argument: Argument) -> str:
    if _choices(argument):
        return f"({' '.join(_choices(argument))})"
    return "_files" if _is_file(argument) else " "


def _fish() -> str:
    lines = ["# fish completion of p2pchat: as p2pchat.fish in fish's completions folder"]
    lines += [
        f"complete -c p2pchat -f -n __fish_use_subcommand -a {command.name} "
        f"-d {_quoted(command.help)}"
        for command in COMMANDS
    ]
    lines += [_fish_option(option, "__fish_use_subcommand") for option in (*_GLOBAL, _HELP)]
    for command in COMMANDS:
        here = f"'__fish_seen_subcommand_from {command.name}'"
        lines += [_fish_option(option, here) for option in _options(command)]
        for argument in _positionals(command):
            if _choices(argument):
                words = _quoted(" ".join(_choices(argument)))
                lines.append(f"complete -c p2pchat -f -n {here} -a {words}")
            if _is_file(argument):
                lines.append(f"complete -c p2pchat -F -n {here}")
    return "\n".join(lines) + "\n"


def _fish_option(option: Argument, condition: str) -> str:
    line = f"complete -c p2pchat -n {condition} -l {option.name.removeprefix('--')}"
    if _takes_value(option):
        line += " -r"
        if _choices(option):
            line += f" -f -a {_quoted(' '.join(_choices(option)))}"
        elif not _is_file(option):
            line += " -f"
    return f"{line} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _unique(options: list[Argument]) -> list[Argument]:
    return list({option.name: option for option in options}.values())
