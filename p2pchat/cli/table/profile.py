"""The profile: its keys, its process, its backups, its log, its health."""

from __future__ import annotations

from p2pchat.cli.table.grammar import JSON, KIT_PASSPHRASE, Argument, Command, positive

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from typing import Any, Final


_KEY_OPTIONS = {
    "status": ("json",),
    "rotate": (),
    "passphrase": ("new_passphrase_file",),
    "keychain": (),
    "revoke": ("certificate", "print", "yes"),
    "replace": ("yes",),
    "recovery": ("file", "kit_passphrase_file", "yes"),
}
"""What belongs to which action of ``key``."""


def _key_problem(args: Any) -> str:
    """Say which of ``key``'s arguments do not belong together."""
    action = args.action
    for options in _KEY_OPTIONS.values():
        for option in options:
            if option not in _KEY_OPTIONS[action] and getattr(args, option):
                name = "CERTIFICATE" if option == "certificate" else f"--{option.replace('_', '-')}"
                return f"key {action} has no {name}"
    if action == "revoke" and args.print and (args.certificate or args.yes):
        return "key revoke --print takes nothing else: it only shows the certificate"
    if action == "recovery" and args.kit_passphrase_file and not args.file:
        return "--kit-passphrase-file belongs to --file"
    return ""


def _audit_problem(args: Any) -> str:
    """Say which of ``audit``'s arguments do not belong together."""
    if args.action == "export" and args.file is None:
        return "audit export needs a FILE to write"
    if args.action == "show" and args.file is not None:
        return "audit show takes no FILE; audit verify FILE checks an exported log"
    if args.action != "show" and (args.limit or args.kind):
        return f"audit {args.action} has no --limit and no --kind"
    if args.peer and not (args.action == "verify" and args.file):
        return "--peer belongs to audit verify FILE"
    return ""


PROFILE: Final = (
    Command(
        "key",
        "look after your keys",
        Argument(
            "action",
            "status: what keys there are, how old, and what for; rotate: replace the static key "
            "now, no conversation breaks; passphrase: choose a new one; keychain: let the "
            "system's keychain unlock the profile; "
            "revoke: end your identity for good, or what a certificate names, and tell everybody; "
            "replace: make a new identity in this profile, announced to your contacts; "
            "recovery: show 24 words, or write a file, that bring your identity back",
            metavar="ACTION",
            choices=tuple(_KEY_OPTIONS),
        ),
        Argument(
            "certificate",
            "revoke: a revocation certificate, or a file with one (- is stdin)",
            metavar="CERTIFICATE",
            nargs="?",
        ),
        Argument("--print", "revoke: show your certificate, to be kept", action="store_true"),
        Argument("--file", "recovery: write a file instead", metavar="FILE"),
        KIT_PASSPHRASE,
        Argument(
            "--yes",
            "revoke, replace: do not ask; recovery: print the words although this is no terminal",
            action="store_true",
        ),
        Argument(
            "--new-passphrase-file",
            "passphrase: read the new one from FILE instead of asking twice",
            metavar="FILE",
        ),
        JSON,
        problem=_key_problem,
    ),
    Command(
        "node",
        "run without a screen",
        Argument(
            "--listen",
            "accept connections there; port 0 picks one; none only dials",
            metavar="HOST:PORT",
            action="append",
        ),
        Argument("--rpc", "speak JSON-RPC on standard input and output", choices=("stdio",)),
    ),
    Command("lock", "make the running node forget its keys until it is unlocked"),
    Command("unlock", "unlock the running node again"),
    Command(
        "backup",
        "make, check or restore a backup: one encrypted file",
        Argument(
            "action",
            "create: write FILE; verify: read it to its end; restore: make a profile of it",
            metavar="ACTION",
            choices=("create", "verify", "restore"),
        ),
        Argument("file", "the backup", metavar="FILE"),
        Argument(
            "--backup-passphrase-file",
            "the backup's passphrase (that of --passphrase-file)",
            metavar="FILE",
        ),
        Argument(
            "--keychain",
            "restore: keep the new profile's key in the system's keychain",
            action="store_true",
        ),
        problem=lambda args: (
            f"backup {args.action} has no --keychain"
            if args.keychain and args.action != "restore"
            else ""
        ),
    ),
    Command(
        "audit",
        "show, verify or export the log of key and trust events",
        Argument(
            "action",
            "show: print it; verify: check that nothing was deleted or changed; export: write it "
            "to a file that anybody can verify",
            metavar="ACTION",
            choices=("show", "verify", "export"),
        ),
        Argument(
            "file",
            "export: the file to write; verify: check this file, not the profile's log",
            metavar="FILE",
            nargs="?",
        ),
        Argument("--limit", "show: the newest N (50)", metavar="N", type=positive),
        Argument("--kind", "show: only records of this kind", metavar="KIND"),
        Argument("--peer", "verify FILE: whose log it must be", metavar="PEERID"),
        JSON,
        problem=_audit_problem,
    ),
    Command(
        "doctor",
        "say what is right and wrong with the profile, and help",
        Argument(
            "--vacuum",
            "leave no trace of what was deleted, and give its room back",
            action="store_true",
        ),
        Argument(
            "--salvage",
            "make a new profile there of what can be read of this one, which is left alone",
            metavar="DIR",
        ),
        problem=lambda args: (
            "doctor takes one of --vacuum and --salvage" if args.vacuum and args.salvage else ""
        ),
    ),
)
