"""The page for everyone: widths, light and dark, assistive technology. Leaves screenshots in test-output."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.serve_apps.playground.journey import brings_a_list, like_three

SHOTS = Path(__file__).parents[3] / "test-output" / "playground"
SERIOUS = ("serious", "critical")


def faults(page: Page) -> list[str]:
    """What axe-core finds that is serious."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {node['html']}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width", "height"), [("desktop", 1280, 900), ("phone", 390, 844)])
def test_every_state_of_the_page_is_accessible(visit, device, width, height, scheme) -> None:
    page = visit(width=width, height=height, scheme=scheme)

    def check(state: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{device}-{scheme}-{state}.png", full_page=True)
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width

    check("stranger")
    like_three(page)
    page.click("#ask")
    page.wait_for_selector("#question .rating")
    page.click("#hood summary")
    check("known")
    brings_a_list(page, page.locator(".reason").first.click)
    check("without")
    page.click("#compare")
    page.wait_for_selector("#lists section")
    check("side-by-side")


def test_a_new_list_is_announced(visit) -> None:
    page = visit()
    first = like_three(page)[-1][0]
    assert f"First is {first}." in page.inner_text("#live")
