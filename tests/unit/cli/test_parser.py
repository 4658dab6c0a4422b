"""Arguments are what interface.md says, and asking for help costs little."""

import json
import subprocess
import sys

import pytest

from p2pchat.cli.main import main
from p2pchat.cli.parser import build_parser
from p2pchat.errors import UsageError

PROFILE_COMMANDS = [
    ["init", "--name", "Alice"],
    ["whoami"],
    ["add", "p2pchat:x"],
    ["contacts"],
    ["accept", "bob"],
    ["keep", "bob"],
    ["block", "bob"],
    ["remove", "bob"],
    ["verify", "bob"],
    ["send", "bob", "hello"],
    ["log", "bob"],
    ["key", "status"],
    ["key", "revoke"],
    ["audit", "show"],
    ["node"],
]


@pytest.mark.parametrize("command", PROFILE_COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("before", [True, False])
def test_profile_options_stand_before_or_after_the_command(
    command: list[str], before: bool
) -> None:
    options = ["--profile", "work", "--passphrase-file", "-"]
    line = [*options, *command] if before else [*command, *options]
    args = build_parser().parse_args(line)
    assert (args.profile, args.passphrase_file) == ("work", "-")
    assert args.command == command[0]


def test_profile_options_may_be_split_and_the_later_one_counts() -> None:
    args = build_parser().parse_args(
        ["--profile", "a", "--passphrase-file", "f", "whoami", "--profile", "b"]
    )
    assert (args.profile, args.passphrase_file) == ("b", "f")


def test_without_a_command_it_is_the_app() -> None:
    args = build_parser().parse_args(["--profile", "work"])
    assert (args.command, args.profile, args.passphrase_file) == (None, "work", None)


@pytest.mark.parametrize(
    "line",
    [
        ["sen", "bob", "hello"],
        ["--prof", "work", "whoami"],
        ["whoami", "--js"],
        ["whoami", "--unheard-of"],
        ["send", "bob"],
        ["send", "bob", "hello", "more"],
        ["send", "bob", "hello", "--wait", "-1"],
        ["send", "bob", "hello", "--wait", "nan"],
        ["send", "bob", "hello", "--wait", "inf"],
        ["send", "bob", "hello", "--wait", "soon"],
        ["log", "bob", "--limit", "0"],
        ["log", "bob", "--limit", "-3"],
        ["log", "bob", "--limit", "many"],
        ["init"],
        ["node", "--rpc", "tcp"],
        ["audit"],
        ["audit", "erase"],
        ["audit", "export"],
        ["audit", "show", "file"],
        ["audit", "show", "--limit", "0"],
        ["audit", "verify", "--kind", "warning"],
        ["audit", "verify", "--peer", "someone"],
        ["interop", "unheard-of", "file"],
        ["interop", "noise-vectors"],
        ["completion", "powershell"],
        ["demo", "--profile", "work"],
        ["key", "replace", "p2pchat-revocation:x"],
        ["key", "replace", "--print"],
        ["key", "revoke", "--print", "--yes"],
        ["key", "revoke", "--print", "p2pchat-revocation:x"],
        # Later issues bring these; a stub would be worse than nothing.
        ["key"],
        ["key", "unheard-of"],
        ["key", "rotate", "--json"],
        ["backup", "create"],
        ["doctor", "--vacuum", "--salvage", "folder"],
    ],
    ids=" ".join,
)
def test_what_is_not_in_the_interface_is_a_usage_error(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        build_parser().parse_args(line)
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("p2pchat: ")
    assert err.count("\n") == 1


def test_a_text_that_begins_with_a_dash_follows_two() -> None:
    args = build_parser().parse_args(["send", "--wait", "2.5", "bob", "--", "-hello"])
    assert (args.text, args.wait) == ("-hello", 2.5)


def test_listen_may_be_given_more_than_once() -> None:
    args = build_parser().parse_args(["node", "--listen", "a:1", "--listen", "[::1]:2"])
    assert args.listen == ["a:1", "[::1]:2"]


def test_version_and_help_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    for line, word in ((["--version"], "p2pchat 0"), (["send", "--help"], "--wait SECONDS")):
        assert main(line) == 0
        out, err = capsys.readouterr()
        assert word in out
        assert err == ""


def test_help_imports_nothing_that_is_slow() -> None:
    program = (
        "import json, sys, runpy\n"
        "sys.argv = ['p2pchat', '--help']\n"
        "try:\n"
        "    runpy.run_module('p2pchat', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as ended:\n"
        "    print(json.dumps([ended.code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    code, modules = json.loads(result.stderr)
    assert code == 0
    assert "usage: p2pchat" in result.stdout
    loaded = {name.partition(".")[0] for name in modules}
    forbidden = {
        *("prompt_toolkit", "zeroconf", "keyring", "cryptography", "nacl", "asyncio"),
        *("apsw", "msgspec", "msgpack", "segno", "wcwidth", "platformdirs"),
        *("logging", "socket", "dataclasses", "inspect", "subprocess", "shutil"),
    }
    assert loaded & forbidden == set()
    ours = {name for name in modules if name.startswith("p2pchat")}
    ours = {name for name in ours if not name.startswith("p2pchat.cli.table")}
    assert ours <= {
        *("p2pchat", "p2pchat.__main__", "p2pchat.cli", "p2pchat.cli.main"),
        *("p2pchat.cli.parser", "p2pchat.cli.commands"),
    }
