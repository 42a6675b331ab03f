"""What the script of a page does, in a browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.reports.made_comparisons import comparison_of, dataset_of, photos

from netvlad.reports.evaluation_page import write_evaluation_page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
ACTS = """<script>addEventListener("load", () => setTimeout(() => {
  const search = document.querySelector("[type=search]");
  if (location.hash === "#find") search.value = "31.png";
  if (location.hash === "#all") document.querySelector(".more").click();
  search.dispatchEvent(new Event("input", { bubbles: true }));
  if (location.hash === "#large") document.querySelector(".answers .frame img").click();
}, 3000))</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    photos(folder, 32)
    comparison = comparison_of(dataset_of(folder, 32), {"a": [True] * 32})
    path = write_evaluation_page(folder / "page.html", [comparison], provenance={})
    text = path.read_text()
    assert text.count("</body>") == 1
    path.write_text(text.replace("</body>", ACTS))
    return path


def seen(page: Path, act: str) -> str:
    """The document after an act."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu"]
    command += [f"--user-data-dir={page.parent / act}", "--virtual-time-budget=8000"]
    command += ["--dump-dom", f"{page.as_uri()}#{act}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium to open a page with")
def test_plots_are_drawn_pictures_enlarged_and_the_gallery_filtered(page):
    for act, cards in (("open", 4), ("find", 1), ("all", 32), ("large", 4)):
        document = seen(page, act)
        articles = re.findall(r"<article [^>]*>", document)
        assert len(articles) == 32
        assert sum("hidden" not in article for article in articles) == cards
        # Recall, precision, interval, errors, and the map.
        assert len(re.findall(r'class="[^"]*js-plotly-plot', document)) == 5
        assert document.count('class="trace scatter') >= 5
        assert ("1 found" in document) == (act == "find")
        large = re.search(r'<dialog id="large"[^>]*>(.*?)</dialog>', document, re.DOTALL)
        assert large is not None and large[1].count("<img src=") == (2 if act == "large" else 0)
