"""From click to new slate on the page: MovieLens-100k behind Ray Serve, in a real headless browser.

    .venv/bin/pytest --run-benchmarks -s tests/benchmarks/test_playground_speed.py

Time does not depend on what the weights are, so the model is not trained. The slate is explained, with
uncertainty, from one event up to eight.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.learning.experiment import set_up
from engine.learning.setup import build_model
from jobs.publish import publish
from serve_apps.local import serving
from tests.ports import free_port

pytestmark = [pytest.mark.benchmark, pytest.mark.ray]

CLICKS = 60
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
CLICK_TO_SLATE = """
async ([row, stars]) => {
  const slate = document.querySelector("#slate");
  const star = document.querySelectorAll("#browse li")[row].querySelectorAll("input")[stars - 1];
  const painted = new Promise((done) =>
    new MutationObserver(done).observe(slate, { attributeFilter: ["data-turn"] }));
  const started = performance.now();
  star.click();
  await painted;
  return performance.now() - started;
}
"""


@pytest.fixture
def artifact(movielens: Path, tmp_path: Path) -> Path:
    experiment = set_up(Dataset.load(movielens), load_config(None))
    publish(experiment, build_model(experiment).eval(), 0.0, tmp_path / "artifact")
    return tmp_path / "artifact"


def test_click_to_slate_takes_less_than_a_tenth_of_a_second(artifact: Path, ray_cluster: None) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path: make chromium")
    port = free_port()
    with serving(artifact, port=port) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(server.url)
        page.wait_for_selector("#slate[data-turn]")
        took_ms = []
        for click in range(CLICKS):
            took_ms.append(page.evaluate(CLICK_TO_SLATE, [click % 8, 1 + click % 5]))
            page.wait_for_timeout(300)  # the rows glide for 260 ms
        browser.close()
    median, p90 = np.percentile(took_ms, [50, 90])
    print(f"\nclick to new slate, {CLICKS} clicks: median {median:.0f} ms, 90th percentile {p90:.0f} ms")
    assert median < 100
