"""Keys at rest, recognised, rotated."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from engine.errors import ConfigError
from serve_apps.security import api_keys
from serve_apps.security.api_keys import ApiKeys, Scope, create_key, read_keys, revoke_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sub" / "keys.json"


def test_a_key_is_recognised_and_the_file_holds_no_secret(file: Path) -> None:
    key, text = create_key(file, "shop", Scope.READ)
    assert ApiKeys(file).find(text) == key
    assert text.split("_", 2)[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_what_is_almost_a_key_is_none(file: Path) -> None:
    _, text = create_key(file, "shop", Scope.READ)
    _, other = create_key(file, "shop", Scope.READ)
    mixed = "_".join([*text.split("_")[:2], other.split("_", 2)[2]])
    keys = ApiKeys(file)
    wrong = ["", "_", "__", "fc__", text[:-1], text + "x", text.upper(), mixed, "fc_é_é", text[3:]]
    assert [keys.find(attempt) for attempt in wrong] == [None] * len(wrong)


def test_rotation_needs_no_restart(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "RECHECK_S", 0)
    old, old_text = create_key(file, "shop", Scope.READ)
    keys = ApiKeys(file)
    new, new_text = create_key(file, "shop", Scope.ADMIN)
    assert (keys.find(old_text), keys.find(new_text)) == (old, new)
    assert revoke_key(file, old.id) == old
    assert (keys.find(old_text), keys.find(new_text)) == (None, new)
    assert read_keys(file) == [new]


@pytest.mark.parametrize("content", [None, "{", '{"keys": [{"id": "1"}]}', "[]"])
def test_a_file_that_goes_bad_changes_nothing_and_is_logged(
    file: Path, content: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api_keys, "RECHECK_S", 0)
    key, text = create_key(file, "shop", Scope.READ)
    keys = ApiKeys(file)
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert keys.find(text) == key
    assert "cannot read API keys" in caplog.text
    with pytest.raises(ConfigError, match="cannot read API keys"):
        ApiKeys(file)


def test_revoking_what_is_not_there_names_what_is(file: Path) -> None:
    key, _ = create_key(file, "shop", Scope.READ)
    with pytest.raises(ConfigError, match=f"no key has the id 'x'.*There are: {key.id}"):
        revoke_key(file, "x")


def test_an_unknown_scope_is_refused(file: Path) -> None:
    create_key(file, "shop", Scope.READ)
    file.write_text(json.dumps(json.loads(file.read_text())).replace('"read"', '"root"'))
    with pytest.raises(ConfigError, match="root"):
        read_keys(file)


def test_admin_includes_read_and_not_the_other_way_round() -> None:
    assert [Scope.ADMIN.includes(Scope.READ), Scope.ADMIN.includes(Scope.ADMIN)] == [True, True]
    assert [Scope.READ.includes(Scope.READ), Scope.READ.includes(Scope.ADMIN)] == [True, False]
