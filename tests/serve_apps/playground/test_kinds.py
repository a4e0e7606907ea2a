"""The page of a server that asks for a key, of named events alone, and of a model that adapts by descent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from engine.config import load_config
from engine.data.sources.checkerboard import checkerboard
from jobs.prepare import prepare
from jobs.pretrain import pretrain
from serve_apps.security.api_keys import ApiKeys, Scope, create_key
from serve_apps.service import Service
from tests.serve_apps.playground.conftest import listening, loaded
from tests.serve_apps.playground.journey import brings_a_list, rate, said, search, slate
from tests.serve_apps.playground.test_access import SHOTS, faults
from tests.small import SMALL

DESCENT = (
    *SMALL[:2],
    "inner.method=gradient",
    "inner.scope=decision",
    "inner.inner_steps=3",
    "outer.passes=2",
)


@pytest.fixture(scope="module")
def named_artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of purchases and views, no ratings: one adapted in closed form, one by descent."""
    folder = tmp_path_factory.mktemp("named")
    tables = checkerboard()
    ratings = tables.interactions.pop("rating")
    tables.interactions["event"] = ["PURCHASE" if rating == 5 else "PRODUCT_VIEW" for rating in ratings]
    tables.items["title"] = [f"Thing {row}" for row in range(len(tables.items))]
    prepare(interactions=tables.interactions, items=tables.items, users=tables.users, out=folder / "data")
    for name, options in (("closed", SMALL), ("descent", DESCENT)):
        pretrain(folder / "data", folder / name, load_config(None, options), folder / "runs")
    return str(folder / "closed"), str(folder / "descent")


@pytest.fixture(scope="module")
def named_urls(named_artifacts: tuple[str, str]) -> Iterator[tuple[str, str]]:
    closed, descent = (Service(loaded(artifact)) for artifact in named_artifacts)
    with listening(closed) as one, listening(descent) as other:
        yield one, other


def test_a_key_is_asked_for_and_a_wrong_one_is_told(
    browser: Browser, real_artifact: str, tmp_path: Path
) -> None:
    _, key = create_key(tmp_path / "keys.json", "page", Scope.READ)
    keys = ApiKeys(tmp_path / "keys.json")
    with listening(Service(loaded(real_artifact)), keys) as there:
        page = browser.new_page(reduced_motion="reduce")
        page.goto(there)
        form = page.locator("#key")
        expect(form).to_be_visible()
        assert page.locator("#stage").is_hidden()
        assert page.inner_text("#alert") == ""
        page.screenshot(path=_shot("asks-for-key"))
        assert faults(page) == []
        page.fill("#key-text", "fc_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#alert")).to_have_text("This server does not know the key.")
        expect(form).to_be_visible()
        page.screenshot(path=_shot("wrong-key"))
        page.fill("#key-text", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#slate[data-turn]")
        expect(form).to_be_hidden()
        expect(page.locator("#alert")).to_be_empty()
        before = slate(page)
        assert rate(page, "Film 3", 5) != before
        page.close()


def test_named_events_are_buttons_and_no_stars(visit, named_urls) -> None:
    page = visit(at=named_urls[0])
    assert page.locator(".stars").count() == 0
    before = slate(page)
    search(page, "Thing 3")
    first = page.locator("#browse li").first
    names = [text.partition("\n")[0] for text in first.locator(".pick").all_inner_texts()]
    assert names == ["Product view", "Purchase"]
    after = brings_a_list(page, first.get_by_role("button", name="Purchase Thing 3").click)
    assert after != before
    expect(page.locator("#said-list .told")).to_have_text("Purchase")
    expect(page.locator(".why").first).to_contain_text("because of Thing 3")  # nobody said "like"
    page.screenshot(path=_shot("named-events"), full_page=True)
    assert faults(page) == []


def test_a_model_without_doubt_offers_neither_questions_nor_exploring(visit, named_urls) -> None:
    page = visit(at=named_urls[1])
    for absent in ("#ask", "#exploring", "#legend"):
        expect(page.locator(absent)).to_be_hidden()
    search(page, "Thing 3")
    like = page.locator("#browse li").first.get_by_role("button", name="Purchase Thing 3")
    brings_a_list(page, like.click)
    assert said(page) == ["Thing 3"]
    expect(page.locator(".reason").first).to_contain_text("Thing 3")
    assert "±" not in page.inner_text("#slate")
    page.screenshot(path=_shot("descent"), full_page=True)
    assert faults(page) == []


def _shot(name: str) -> Path:
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS / f"{name}.png"
