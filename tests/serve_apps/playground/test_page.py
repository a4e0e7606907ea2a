"""A person's way through the page, in a real browser, at desktop width."""

from __future__ import annotations

import httpx
from playwright.sync_api import expect

from engine import Recommender
from tests.serve_apps.playground.journey import brings_a_list, like_three, rate, said, search, slate


def test_three_likes_change_the_slate_to_what_the_recommender_says(visit, real_artifact) -> None:
    page = visit()
    stranger = slate(page)
    first, _, third = like_three(page)
    recommender = Recommender.load(real_artifact)
    events = [{"item_id": item, "value": 5} for item in ("103", "117", "121")]
    assert stranger == [f"Film {int(i) - 100}" for i in recommender.recommend([]).item_ids]
    assert third == [f"Film {int(i) - 100}" for i in recommender.recommend(events).item_ids]
    assert stranger != first != third
    assert said(page) == ["Film 21", "Film 17", "Film 3"]
    expect(page.locator("#lead")).to_have_text("Ranked for you from 3 answers.")


def test_reasons_lead_to_the_list_without_and_back(visit) -> None:
    page = visit()
    whole = like_three(page)[-1]
    reason = page.locator(".reason").first
    name = reason.inner_text().partition("\n")[0]
    assert name in said(page)
    without = brings_a_list(page, reason.click)
    assert without != whole
    expect(page.locator("#without em")).to_have_text(name)
    assert brings_a_list(page, page.locator("#put-back").click) == whole


def test_taking_one_back_changes_the_slate_back(visit) -> None:
    page = visit()
    one, two, _ = like_three(page)
    remove = page.locator("#said-list .remove").first
    assert brings_a_list(page, remove.click) == two
    assert brings_a_list(page, remove.click) == one
    assert said(page) == ["Film 3"]


def test_movement_is_told_against_the_list_before(visit) -> None:
    page = visit()
    before = slate(page)
    after = rate(page, "Film 3", 1)
    for place, title in enumerate(after):
        row = page.locator("#slate > li").nth(place)
        moved = row.locator(".moved")
        from_place = before.index(title) if title in before else None
        if from_place == place:
            expect(moved).to_have_count(0)
        elif from_place is None:
            expect(moved).to_have_text("new")
        else:
            sign = "▲" if from_place > place else "▼"
            expect(moved).to_contain_text(f"{sign}{abs(from_place - place)}")


def test_questions_are_asked_and_answers_count(visit) -> None:
    page = visit()
    page.click("#ask")
    question = page.locator("#question .title")
    first = question.inner_text()
    page.get_by_text("I do not know it").click()
    expect(question).not_to_have_text(first)
    second = question.inner_text()
    star = page.locator('#question input[value="4"]')
    brings_a_list(page, lambda: star.click(force=True))  # `check` may click the next question, too
    assert said(page) == [second]
    expect(question).not_to_have_text(second)
    page.get_by_text("Enough questions").click()
    expect(page.locator("#question")).to_be_hidden()


def test_named_events_can_be_said_too(visit) -> None:
    page = visit()
    search(page, "Film 7")
    like = page.locator("#browse li").first.get_by_role("button", name="Like Film 7")
    brings_a_list(page, like.click)
    assert like.get_attribute("aria-pressed") == "true"
    expect(page.locator("#said-list .told")).to_have_text("Like")


def test_exploring_changes_the_order_and_is_undone(visit) -> None:
    page = visit()
    plain = slate(page)
    slider = page.locator("#explore")
    assert brings_a_list(page, lambda: slider.fill("2")) != plain
    assert brings_a_list(page, lambda: slider.fill("0")) == plain


def test_other_methods_stand_beside(visit, real_artifact) -> None:
    page = visit()
    ours = like_three(page)[-1]
    page.click("#compare")
    expect(page.locator("#lists section")).to_have_count(3)
    shown = [page.locator("#lists section").nth(n).locator("li").all_inner_texts() for n in range(3)]
    events = [{"item_id": item, "value": 5} for item in ("103", "117", "121")]
    rivals = Recommender.load(real_artifact).rivals(events)
    titles = [[f"Film {int(i) - 100}" for i in rivals[name]] for name in ("popularity", "item-kNN")]
    assert shown == [*titles, ours]


def test_kept_answers_come_back_and_forgetting_deletes_them(visit, url: str) -> None:
    page = visit()
    like_three(page)
    page.locator("#remember input").check()
    page.wait_for_timeout(100)
    brings_a_list(page, page.locator("#said-list .remove").first.click)
    person = page.evaluate("localStorage.getItem('firstclick-person')")
    with httpx.Client(base_url=url) as http:

        def kept() -> list[str]:
            events = http.get(f"v1/users/{person}/events").json()["events"]
            return [event["item_id"] for event in events]

        _until(page, lambda: kept() == ["103", "117"])
        page.reload()
        page.wait_for_selector("#slate[data-turn]")
        assert said(page) == ["Film 17", "Film 3"]
        brings_a_list(page, page.locator("#forget").click)
        assert kept() == []
    assert page.evaluate("localStorage.length") == 0
    expect(page.locator("#said")).to_be_hidden()


def test_what_the_server_cannot_do_is_not_offered(visit, plain_url: str) -> None:
    page = visit(at=plain_url)
    assert len(slate(page)) == 10
    expect(page.locator("#remember")).to_be_hidden()


def test_keys_alone_are_enough(visit) -> None:
    page = visit()
    page.focus("#query")
    page.keyboard.type("Film 9")
    expect(page.locator("#browse .title").first).to_have_text("Film 9")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    brings_a_list(page, lambda: page.keyboard.press("ArrowRight"))
    assert said(page) == ["Film 9"]


def test_a_search_that_finds_nothing_says_so(visit) -> None:
    page = visit()
    page.fill("#query", "no such film")
    expect(page.locator("#browse-title")).to_have_text("Nothing is called “no such film”")


def _until(page, holds, tries: int = 50) -> None:
    for _ in range(tries):
        if holds():
            return
        page.wait_for_timeout(50)
    assert holds()
