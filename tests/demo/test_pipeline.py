import re
from dataclasses import replace

import pytest

from netvlad.demo.pipeline import run_demo
from netvlad.demo.town import TownSize
from netvlad.reports.demo_page import write_demo_page
from netvlad.training.recipes import RECIPES
from netvlad.types import Progress

SMALL = TownSize(train=(1, 1), val=(1, 1), test=(1, 1), queries=(0.4, 0.4, 0.4))


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    stages = []
    recipe = replace(RECIPES["efficientnet-lite0"], epochs=1)
    result = run_demo(
        folder,
        recipe=recipe,
        town=SMALL,
        workers=1,
        report=lambda e: stages.append(e.stage) if isinstance(e, Progress) else None,
    )
    return folder, result, stages


def test_the_whole_way_is_gone(demonstration):
    folder, result, stages = demonstration
    assert (folder / "town/town.json").is_file()
    assert (folder / "runs/demo/checkpoints/best.json").is_file()
    assert {s for s in stages if s.startswith("Drawing")}
    assert {s for s in stages if "refreshing" in s}
    for evaluation in (result.before, result.after):
        assert evaluation.recalls.num_queries == len(result.test.queries)
        assert 0 < evaluation.recalls.at[20] <= 1
    assert result.learned == (result.after.recalls.at[1] > result.before.recalls.at[1])


def test_the_page_stands_alone_and_tells_the_truth(demonstration):
    folder, result, _ = demonstration
    text = write_demo_page(folder / "index.html", result).read_text(encoding="utf-8")
    assert "The town is rendered" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    for value in (*result.before.recalls.at.values(), *result.after.recalls.at.values()):
        assert f"{value:.3f}" in text
    assert text.count("<svg") == 3
    assert text.count('<figure class="query">') > 0


def test_a_second_demo_reuses_the_town_and_starts_training_anew(demonstration):
    folder, result, _ = demonstration
    recipe = replace(RECIPES["efficientnet-lite0"], epochs=1)
    again = run_demo(folder, recipe=recipe, town=SMALL, workers=1)
    assert again.after.recalls.at == result.after.recalls.at
