"""``init`` and ``whoami``."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from p2pchat.cli.opening import profile_path, with_client
from p2pchat.cli.output import name_of, print_json, time_of
from p2pchat.errors import ProfileExistsError, UsageError
from p2pchat.rpc.client import Client


def run(args: Namespace) -> int:
    """Run the command that ``args`` names."""
    return _init(args) if args.command == "init" else _whoami(args)


def _init(args: Namespace) -> int:
    # Late: only the first command of a profile's life makes keys.
    from p2pchat.cli.recovery import read_kit
    from p2pchat.cli.unlock import new_unlock
    from p2pchat.crypto.secret import system_rng
    from p2pchat.identity.certificate import parse_and_verify
    from p2pchat.identity.keys import peer_id
    from p2pchat.identity.revocation import encode_revocation_text, revoke
    from p2pchat.store.open import create_profile, profile_exists

    path = profile_path(args)
    if profile_exists(path):  # before anybody types a passphrase
        raise ProfileExistsError(
            f"there is a profile in {path} already; it is never overwritten. Another one: "
            "p2pchat --profile NAME init"
        )
    kit = read_kit(args)
    name = args.name or (kit.name if kit else "")
    now_ms = time.time_ns() // 1_000_000
    profile = create_profile(
        path,
        name=name,
        unlock=new_unlock(args.passphrase_file, keychain=args.keychain),
        rng=system_rng,
        now_ms=now_ms,
        recovered=kit.seed if kit else None,
    )
    try:
        certificate = parse_and_verify(profile.identity.certificate, now_ms=now_ms)
        print(f"{'brought back' if kit else 'made'} the identity of {name_of(name)} in {path}")
        print(f"peer id {peer_id(certificate.identity)}")
        if args.print_revocation:
            print("whoever has this line can end this identity, and do nothing else with it:")
            print(encode_revocation_text(revoke(profile.identity.signing_seed)))
        if kit:
            print("your contacts have to be added anew; each is told of the new computer once")
        print("next: p2pchat whoami shows the link to give to your contacts")
    finally:
        profile.close()
    return 0


def _whoami(args: Namespace) -> int:
    if args.json and args.qr:
        raise UsageError("--json and --qr exclude each other")

    async def work(client: Client) -> dict[str, Any]:
        identity: dict[str, Any] = await client.call("identity.show")
        return identity

    identity = with_client(args, work)
    if args.json:
        print_json(identity)
    else:
        print(f"name     {identity['name']}")
        print(f"peer id  {identity['peer_id']}")
        print(f"link     {identity['link']}")
        if "revoked_at_ms" in identity:
            print(f"revoked  on {time_of(identity['revoked_at_ms'])}, for good")
    if args.qr:
        from p2pchat.tui.qr import qr_lines  # a large table of codes, for who wants one

        for line in qr_lines(identity["link"]):
            print(line)
    return 0
