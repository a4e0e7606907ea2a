"""Who is answered by which version: pure values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve_apps.roll_out import Canary, RollOut, place_of

USERS = [f"u-{n}" for n in range(4000)]


def canary_people(share: float, version: str = "b") -> set[str]:
    roll_out = RollOut(live="a", canary=Canary(version=version, share=share))
    return {user for user in USERS if roll_out.answering(user) == version}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_the_canary_answers_its_share(share: float) -> None:
    assert len(canary_people(share)) / len(USERS) == pytest.approx(share, abs=0.02)


def test_a_larger_share_keeps_whom_it_had_and_another_version_draws_others() -> None:
    small, large, other = canary_people(0.1), canary_people(0.3), canary_people(0.1, "c")
    assert small < large
    assert len(small & other) < len(small) / 2


@given(st.text(), st.text())
def test_places_are_within_zero_and_one_and_stable(user_id: str, version: str) -> None:
    if any("\ud800" <= c <= "\udfff" for c in user_id + version):
        return
    assert 0 <= place_of(user_id, version) < 1
    assert place_of(user_id, version) == place_of(user_id, version)


def test_the_hash_never_changes() -> None:
    """Whoever a canary answers must be answered by it after an upgrade, too."""
    assert place_of("u-1", "b") == 0.748388595943911


def test_who_has_no_id_is_answered_by_the_live_version() -> None:
    assert RollOut(live="a", canary=Canary(version="b", share=1)).answering(None) == "a"


@pytest.mark.parametrize(
    "parts",
    [
        {"canary": {"version": "a", "share": 0.5}},
        {"shadow": "a"},
        {"canary": {"version": "b", "share": 0.5}, "shadow": "b"},
        {"canary": {"version": "b", "share": 1.5}},
        {"canary": {"version": "b"}},
        {"live": ""},
        {"lvie": "a"},
    ],
)
def test_what_does_not_fit_is_refused(parts: dict) -> None:
    with pytest.raises(ValidationError):
        RollOut.model_validate({"live": "a", **parts})
