"""Completions know what the parser knows; bash runs what it is given."""

import shutil
import subprocess

import pytest

from p2pchat.cli.commands import COMMANDS
from p2pchat.cli.completion import script


def complete(line: str) -> set[str]:
    """Return what bash offers at the end of ``line``."""
    program = (
        f"{script('bash')}\n"
        f"COMP_WORDS=({line}); [[ '{line}' == *' ' ]] && COMP_WORDS+=('')\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _p2pchat; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    result = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert result.stderr == ""
    return set(result.stdout.split())


def test_bash_completes_commands_options_and_choices() -> None:
    names = {command.name for command in COMMANDS}
    assert names <= complete("p2pchat ")
    assert complete("p2pchat co") == {"contacts", "completion"}
    assert complete("p2pchat --profile work wh") == {"whoami"}
    assert complete("p2pchat --profile send wh") == {"whoami"}
    assert complete("p2pchat send --w") == {"--wait"}
    assert {"--search", "--limit", "--json", "--profile"} <= complete("p2pchat log --")
    assert complete("p2pchat node --rpc ") == {"stdio"}
    assert complete("p2pchat completion f") == {"fish"}
    assert complete("p2pchat demo --pro") == set()
    assert complete("p2pchat send --wait ") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_every_script(shell: str) -> None:
    text = script(shell)
    for command in COMMANDS:
        assert command.name in text
        for argument in command.arguments:
            if argument.name.startswith("--"):
                assert argument.name.removeprefix("--") in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one_that_its_shell_can_read(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    result = subprocess.run(
        [shell, "-n"], input=script(shell), capture_output=True, text=True, timeout=20, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_another_shell_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="powershell"):
        script("powershell")
