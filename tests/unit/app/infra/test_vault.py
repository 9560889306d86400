"""What is sealed opens with its key, for its row, and in no other way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.settings import Settings
from app.infra.vault import Vault, key_of, keys, open_vault

OLD, NEW = (secret_keys.decode(secret_keys.new()) for _ in range(2))


def refused(vault: Vault, stored: str, of: str = "row") -> str:
    with pytest.raises(HeadstartError) as caught:
        vault.open(stored, of=of)
    return caught.value.code


@given(st.text(), st.text(max_size=20))
def test_what_is_sealed_opens_again(plain: str, of: str) -> None:
    vault = Vault(lambda: [NEW])
    stored = vault.seal(plain, of=of)
    assert vault.open(stored, of=of) == plain
    assert vault.seal(plain, of=of) != stored
    assert key_of(stored) == vault.newest == secret_keys.name_of(NEW)


def test_another_rows_secret_does_not_open() -> None:
    vault = Vault(lambda: [NEW])
    assert refused(vault, vault.seal("whsec_x", of="hooks/1"), "hooks/2") == "secret_unreadable"


def test_what_was_changed_does_not_open() -> None:
    """Of as many bytes as base64 has no bits to spare for: each letter counts."""
    vault = Vault(lambda: [NEW])
    stored = vault.seal("whsec_xy", of="row")
    for place in range(len("sealed:1:") + 13, len(stored)):
        letter = "A" if stored[place] != "A" else "B"
        changed = stored[:place] + letter + stored[place + 1 :]
        assert refused(vault, changed) == "secret_unreadable"
        assert refused(vault, stored[:place]) == "secret_unreadable"


def test_former_keys_open_and_the_newest_seals() -> None:
    stored = Vault(lambda: [OLD]).seal("whsec_x", of="row")
    both = Vault(lambda: [NEW, OLD])
    assert both.open(stored, of="row") == "whsec_x"
    assert both.newest == secret_keys.name_of(NEW)
    assert refused(Vault(lambda: [NEW]), stored) == "secret_unreadable"
    assert refused(Vault(list), stored) == "secret_unreadable"


def test_what_was_kept_before_there_was_a_key_is_told_as_it_is() -> None:
    assert Vault(list).open("whsec_x", of="row") == "whsec_x"
    assert key_of("whsec_x") is None
    with pytest.raises(HeadstartError, match="no key") as caught:
        Vault(list).seal("whsec_x", of="row")
    assert caught.value.code == "secrets_key_missing"


def test_a_key_that_is_added_to_the_file_is_found_without_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    keys.make(tmp_path)
    running = open_vault(settings)
    keys.put_first(tmp_path, [NEW])
    stored = open_vault(settings).seal("whsec_x", of="row")
    assert key_of(stored) == secret_keys.name_of(NEW)
    assert running.open(stored, of="row") == "whsec_x"


def test_the_folders_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys.make(tmp_path)
    path = tmp_path / keys.FILE
    first = path.read_text()
    keys.make(tmp_path)
    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    keys.put_first(tmp_path, [NEW, *secret_keys.several(first)])
    assert secret_keys.several(path.read_text()) == [NEW, *secret_keys.several(first)]
    assert path.stat().st_mode & 0o777 == 0o600
    shown = [one.name for one in tmp_path.iterdir() if not one.name.startswith(".")]
    assert shown == [keys.FILE], "no draft is left"


def test_no_key_is_lost_to_another_that_is_put_or_made_at_once(tmp_path: Path) -> None:
    """As commands at once do; each has its descriptor of the lock, as processes have."""
    told = [secret_keys.decode(secret_keys.new()) for _ in range(24)]

    def put(number: int) -> None:
        (keys.put_first(tmp_path, [told[number]]) if number % 4 else keys.make(tmp_path))

    for _ in range(4):
        (tmp_path / keys.FILE).unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(len(told))))
        found = secret_keys.several((tmp_path / keys.FILE).read_text())
        put_in = {one for number, one in enumerate(told) if number % 4}
        assert put_in <= set(found)
        assert len(found) == len(set(found))


def test_keys_of_the_setting_come_first(tmp_path: Path) -> None:
    keys.make(tmp_path)
    (tmp_path / "mounted").write_text(f"# the operator's\n{OLD.hex()}\n")
    told = Settings(
        data_dir=tmp_path,
        secrets_key=secret_keys.encode(NEW),
        secrets_key_file=tmp_path / "mounted",
    )
    found = keys.read(told)
    assert (found[:2], len(found)) == ([NEW, OLD], 3)
    assert secret_keys.encode(NEW) not in repr(told)


@pytest.mark.parametrize("content", [None, "", "changeme"])
def test_a_file_without_a_key_is_refused_before_anything_is_kept(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "mounted"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HeadstartError, match="SECRETS_KEY_FILE"):
        open_vault(Settings(data_dir=tmp_path, secrets_key_file=path))
