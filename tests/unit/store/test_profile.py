"""Where profiles are, and that nobody else may look into them."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from p2pchat.errors import StoreError, UsageError
from p2pchat.store.profile import Profile, guard_folder, make_folder, resolve_profile


def test_names_live_under_p2pchat_home(tmp_path: Path) -> None:
    env = {"P2PCHAT_HOME": str(tmp_path)}
    assert resolve_profile(None, env) == tmp_path / "default"
    assert resolve_profile("work", env) == tmp_path / "work"
    assert resolve_profile("Jörg-2.b_c", env) == tmp_path / "Jörg-2.b_c"


def test_without_it_they_live_in_the_platforms_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for env in ({}, {"P2PCHAT_HOME": ""}):
        found = resolve_profile("work", env)
        assert found.is_relative_to(tmp_path)
        assert found.name == "work"
        assert found.parent.name == "p2pchat"


def test_a_name_with_a_separator_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    env = {"P2PCHAT_HOME": "/elsewhere"}
    assert resolve_profile("./work", env) == tmp_path / "work"
    assert resolve_profile("a/b/../c", env) == tmp_path / "a" / "c"
    assert resolve_profile("/x/y/", env) == Path("/x/y")
    assert resolve_profile("~/p", env) == Path("/home/someone/p")
    # A relative home is made absolute too: the process may change its folder later.
    assert resolve_profile("work", {"P2PCHAT_HOME": "rel"}) == tmp_path / "rel" / "work"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-x", "a b", "a\n", "a\0", "x" * 65])
def test_other_names_are_refused_with_advice(name: str) -> None:
    with pytest.raises(UsageError, match="not a profile name"):
        resolve_profile(name, {"P2PCHAT_HOME": "/tmp"})  # noqa: S108  # only a name


def test_a_folder_with_a_nul_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        resolve_profile("a/\0", {})


def test_the_files_of_a_profile() -> None:
    profile = Profile(Path("/p"))
    assert [
        file.name
        for file in (
            profile.key,
            profile.database,
            profile.lock,
            profile.socket,
            profile.config,
            profile.unfinished,
        )
    ] == ["key", "chat.db", "lock", "socket", "config.toml", "unfinished"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_folders_are_made_for_us_alone_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_wide_permissions_are_mended(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    (folder / "chat.db").touch()
    (folder / "chat.db").chmod(0o644)
    (folder / "config.toml").touch()
    (folder / "config.toml").chmod(0o400)
    outside = tmp_path / "outside"
    outside.touch()
    outside.chmod(0o644)
    (folder / "link").symlink_to(outside)
    make_folder(folder)
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in (folder, *folder.iterdir(), outside)}
    assert modes == {
        "p": 0o700,
        "chat.db": 0o600,
        "config.toml": 0o400,
        "link": 0o644,
        "outside": 0o644,
    }


def test_a_file_that_goes_while_the_folder_is_looked_at_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that closes the database just then removes its log."""
    folder = tmp_path / "profile"
    make_folder(folder)
    (folder / "chat.db-shm").touch()
    (folder / "key").touch(0o644)
    listing = list(folder.iterdir())
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listing))
    (folder / "chat.db-shm").unlink()
    guard_folder(folder)
    assert (folder / "key").stat().st_mode & 0o777 == 0o600


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").touch()
    with pytest.raises(StoreError, match="not a folder"):
        make_folder(tmp_path / "p")
    with pytest.raises(StoreError, match="cannot make the folder"):
        make_folder(tmp_path / "p" / "q")
    with pytest.raises(StoreError, match="cannot use the folder"):
        guard_folder(tmp_path / "none")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_or_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "chat.db").touch()
    os.chown(folder / "chat.db", 12345, -1)
    with pytest.raises(StoreError, match=r"chat\.db belongs to another user"):
        guard_folder(folder)
    os.chown(folder, 12345, -1)
    with pytest.raises(StoreError, match="belongs to another user"):
        make_folder(folder)


def test_platformdirs_is_imported_only_when_needed() -> None:
    import subprocess

    script = (
        "import sys; from p2pchat.store.profile import resolve_profile;"
        "resolve_profile('x', {'P2PCHAT_HOME': '/h'});"
        "assert 'platformdirs' not in sys.modules and 'apsw' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
