"""Settings: defaults without a file, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pchat.config import CONFIG_MAX_BYTES, Config, load_config
from p2pchat.errors import UsageError


def test_a_missing_or_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert load_config(path) == Config()
    path.write_text("# nothing set\n")
    assert load_config(path) == Config()
    assert Config().listen == ("0.0.0.0:0",)


def test_everything_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        'listen = ["127.0.0.1:7420", "[::1]:0", "host.example:1"]\n'
        "connect_timeout_s = 3\nretry_first_s = 0.5\nretry_max_s = 3600\n"
        "rotate_static_days = 0\nunsent_expires_h = 8760\n"
    )
    assert load_config(path) == Config(
        listen=("127.0.0.1:7420", "[::1]:0", "host.example:1"),
        connect_timeout_s=3.0,
        retry_first_s=0.5,
        retry_max_s=3600.0,
        rotate_static_days=0,
        unsent_expires_h=8760,
    )
    path.write_text("listen = []")
    assert load_config(path).listen == ()
    path.write_text('passphrase_command = ["pass", "show", "p2pchat"]\nlock_after_s = 60\n')
    assert load_config(path) == Config(
        passphrase_command=("pass", "show", "p2pchat"), lock_after_s=60.0
    )
    path.write_text("lock_after_s = 0")
    assert load_config(path).lock_after_s == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lissten = []", "no setting 'lissten'"),
        ("[node]\nlisten = []", "no setting 'node'"),
        ('listen = "0.0.0.0:1"', "'listen' is a list"),
        ("listen = [1]", "'listen' is a list"),
        ('listen = ["nonsense"]', "'listen'"),
        ('listen = ["host:70000"]', "'listen'"),
        ('listen = [":0"]', "'listen'"),
        ("retry_first_s = '1'", "number of seconds"),
        ("retry_first_s = true", "number of seconds"),
        ("retry_first_s = 0", "between 0.1 and 3600"),
        ("retry_first_s = nan", "between 0.1 and 3600"),
        ("retry_max_s = inf", "between 0.1 and 3600"),
        ("rotate_static_days = -1", "whole number of days"),
        ("rotate_static_days = 366", "whole number of days"),
        ("rotate_static_days = 1.5", "whole number of days"),
        ("rotate_static_days = true", "whole number of days"),
        ("unsent_expires_h = -1", "whole number of hours up to 8760; 0 is never"),
        ("unsent_expires_h = 8761", "whole number of hours"),
        ("unsent_expires_h = 0.5", "whole number of hours"),
        ("unsent_expires_h = true", "whole number of hours"),
        ("connect_timeout_s = -1", "between 0.1 and 3600"),
        ("retry_first_s = 9\nretry_max_s = 8", "less than"),
        ('passphrase_command = "pass show"', "is a list of words"),
        ("passphrase_command = []", "names no program"),
        ('passphrase_command = [""]', "names no program"),
        ("lock_after_s = 5", "0 or lies between 10 and"),
        ("lock_after_s = nan", "0 or lies between 10 and"),
        ("lock_after_s = true", "number of seconds"),
        ("listen = [", "not valid TOML"),
        ("a = 1\na = 2", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_config(path)
    path.write_bytes(b"#" * (CONFIG_MAX_BYTES + 1))
    with pytest.raises(UsageError, match="bytes"):
        load_config(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="cannot read"):
        load_config(path)
