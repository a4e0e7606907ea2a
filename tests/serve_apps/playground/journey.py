"""What a person does on the page, step by step; each step waits for the list that it brings."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect


def slate(page: Page) -> list[str]:
    return page.locator("#slate .title").all_inner_texts()


def said(page: Page) -> list[str]:
    return page.locator("#said-list .title").all_inner_texts()


def brings_a_list(page: Page, act: Callable[[], object]) -> list[str]:
    """The slate after ``act``."""
    turn = int(page.get_attribute("#slate", "data-turn") or 0)
    act()
    page.wait_for_selector(f'#slate[data-turn="{turn + 1}"]')
    return slate(page)


def search(page: Page, words: str) -> None:
    page.fill("#query", words)
    expect(page.locator("#browse .title").first).to_have_text(words)


def rate(page: Page, title: str, stars: int) -> list[str]:
    """Search for an item and give it stars."""
    search(page, title)
    star = page.locator("#browse li").first.locator(f'input[value="{stars}"]')
    return brings_a_list(page, lambda: star.check(force=True))


def like_three(page: Page) -> list[list[str]]:
    """The slates after each of three likes."""
    return [rate(page, f"Film {number}", 5) for number in (3, 17, 21)]
