"""MovieLens-100k is the same from each source and is fetched carefully; the checkerboard is as described."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from engine.data.sources import movielens
from engine.data.sources.checkerboard import checkerboard
from engine.data.sources.fetch import Archive, cache_folder, cached_or_fetched
from engine.data.sources.layouts import read_grouplens, read_recbole
from engine.data.sources.movielens import movielens_100k
from engine.errors import DataError

FLAGS = {
    "Toy Story (1995)": (3, 4, 5),
    "GoldenEye (1995)": (1, 2, 16),
    "unknown": (0,),
    "Reise (1995) (V)": (5,),
}
GROUPLENS = {
    "u.data": b"196\t2\t3\t881250949\n1\t1\t5\t874965758\n",
    "u.item": "".join(
        f"{i}|{title}|01-Jan-1995||http://x|{'|'.join('01'[g in flags] for g in range(19))}\n"
        for i, (title, flags) in enumerate(FLAGS.items(), start=1)
    ).encode("latin-1"),
    "u.user": b"1|24|M|technician|85711\n196|49|F|writer|00501\n",
}
RECBOLE = {
    "ml-100k.inter": b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    b"196\t2\t3\t881250949\n1\t1\t5\t874965758\n",
    "ml-100k.item": b"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    b"1\tToy Story\t1995\tAnimation Children's Comedy\n2\tGoldenEye\t1995\tAction Adventure Thriller\n"
    b"3\tunkonwn\tunkonwn\tunknown\n4\tReise (1995)\tV\tComedy\n",
    "ml-100k.user": b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    b"1\t24\tM\ttechnician\t85711\n196\t49\tF\twriter\t00501\n",
}


def archive_of(contents: bytes | OSError, name: str = "a.zip", digest: str = "") -> Archive:
    def fetch() -> bytes:
        if isinstance(contents, OSError):
            raise contents
        return contents

    known = contents if isinstance(contents, bytes) else b""
    return Archive(
        name, f"the source of {name}", "sha256", digest or hashlib.sha256(known).hexdigest(), fetch
    )


def zipped(files: dict[str, bytes], prefix: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, contents in files.items():
            archive.writestr(f"{prefix}{name}", contents)
    return buffer.getvalue()


def test_both_layouts_give_the_same_tables():
    for one, two in zip(
        read_grouplens(GROUPLENS.__getitem__), read_recbole(RECBOLE.__getitem__), strict=True
    ):
        pd.testing.assert_frame_equal(one, two)


def test_titles_lose_their_year_and_leading_zeros_stay():
    events, items, users = read_grouplens(GROUPLENS.__getitem__)
    assert items["title"].tolist() == ["Toy Story", "GoldenEye", "unknown", "Reise"]
    assert items["year"].fillna(0).tolist() == [1995, 1995, 0, 1995]
    assert items["genres"].tolist()[0] == ["Animation", "Children's", "Comedy"]
    assert users["zip_code"].tolist() == ["85711", "00501"]
    assert events["user_id"].tolist() == ["196", "1"]


@pytest.mark.parametrize(
    ("files", "prefix"), [(GROUPLENS, "ml-100k/"), (RECBOLE, "recbole/dataset_example/ml-100k/")]
)
def test_an_archive_is_fetched_once_and_then_kept(tmp_path, monkeypatch, files, prefix):
    monkeypatch.setattr(movielens, "ML_100K_SIZES", (2, 4, 2))
    archive = archive_of(zipped(files, prefix))
    first = movielens_100k(cache=tmp_path, archives=[archive])
    gone = Archive(
        archive.name, archive.origin, archive.algorithm, archive.digest, archive_of(OSError("off")).fetch
    )
    again = movielens_100k(cache=tmp_path, archives=[gone])
    pd.testing.assert_frame_equal(first.interactions, again.interactions)
    assert first.users["user_id"].tolist() == ["1", "196"]


@pytest.mark.parametrize("files", [GROUPLENS, RECBOLE])
@pytest.mark.parametrize("inner", ["", "ml-100k"])
def test_a_folder_of_either_layout(tmp_path: Path, monkeypatch, files, inner):
    monkeypatch.setattr(movielens, "ML_100K_SIZES", (2, 4, 2))
    (tmp_path / inner).mkdir(exist_ok=True)
    for name, contents in files.items():
        (tmp_path / inner / name).write_bytes(contents)
    assert len(movielens_100k(tmp_path).items) == 4


def test_a_wrong_folder_says_what_it_should_hold(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            DataError, match=r"no MovieLens-100k here.*u\.data, u\.item, u\.user or ml-100k\.inter"
        ):
            movielens_100k(folder)


@pytest.mark.parametrize("broken", [b"", b"not\ta\ttable", GROUPLENS["u.data"]])
def test_a_broken_or_partial_copy_is_refused(tmp_path: Path, broken: bytes):
    for name, contents in {**GROUPLENS, "u.data": broken}.items():
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(DataError, match=r"MovieLens-100k .*100,000 ratings"):
        movielens_100k(tmp_path)


def test_the_next_source_is_tried_and_a_wrong_hash_is_never_kept(tmp_path: Path):
    wrong = archive_of(b"tampered", "wrong.zip", digest="0" * 64)
    good = archive_of(b"good", "good.zip")
    path = cached_or_fetched([archive_of(OSError("no route"), "far.zip"), wrong, good], tmp_path, "")
    assert path == tmp_path / "good.zip"
    assert [p.name for p in tmp_path.iterdir()] == ["good.zip"]


def test_a_damaged_copy_in_the_cache_is_fetched_again(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(b"damaged")
    assert cached_or_fetched([archive_of(b"good")], tmp_path, "").read_bytes() == b"good"


def test_where_nothing_can_be_had_each_reason_is_given(tmp_path: Path):
    far, wrong = archive_of(OSError("no route"), "far.zip"), archive_of(b"x", "wrong.zip", digest="0" * 64)
    with pytest.raises(
        DataError, match=r"far\.zip: no route; .*wrong\.zip: what came has another sha256.*by hand"
    ):
        cached_or_fetched([far, wrong], tmp_path, "Download it by hand.")


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("FIRSTCLICK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FIRSTCLICK_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "firstclick"


def test_checkerboard_users_rate_their_own_kind_high():
    world = checkerboard(noise=0.1, seed=3)
    events = world.interactions
    same = events["user_id"].str[1:].astype(int) % 2 == events["item_id"].str[1:].astype(int) % 2
    assert (same == (events["rating"] == 5)).all()
    assert 0.02 < 1 - same.mean() < 0.2
    assert not events.duplicated(["user_id", "item_id"]).any()
    assert (events.groupby("user_id").size() == 12).all()


def test_checkerboard_depends_on_its_seed_alone():
    one, two, other = checkerboard(seed=1), checkerboard(seed=1), checkerboard(seed=2)
    pd.testing.assert_frame_equal(one.interactions, two.interactions)
    pd.testing.assert_frame_equal(one.items, two.items)
    assert not one.interactions.equals(other.interactions)
