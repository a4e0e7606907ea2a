"""The page's files, as browsers get them."""

from __future__ import annotations

import pytest

from serve_apps.paths.playground import FOLDER
from serve_apps.security.guard import needed_scope


@pytest.mark.parametrize("path", ["/", *(f"/playground/{file.name}" for file in sorted(FOLDER.iterdir()))])
def test_files_come_with_their_rules_and_without_a_key(client, path: str) -> None:
    answer = client("GET", path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = client("GET", path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert needed_scope(path) is None


def test_the_page_names_no_other_host() -> None:
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("//\n", ""), file.name


@pytest.mark.parametrize("path", ["/playground/nothing.js", "/playground/..%2Fapp.py", "/playground/"])
def test_nothing_else_is_given_out(client, path: str) -> None:
    answer = client("GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
