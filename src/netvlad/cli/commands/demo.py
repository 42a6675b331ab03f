"""``netvlad demo``: the whole way on a small rendered town."""

import sys
from pathlib import Path

from netvlad.cli.console import history_table, recall_table, reporting, show
from netvlad.cli.flags import MachineFlags
from netvlad.demo.pipeline import run_demo
from netvlad.reports.demo_page import write_demo_page
from netvlad.storage import locked

DEFAULTS = MachineFlags()


def demo(*, machine: MachineFlags = DEFAULTS, output: Path = Path("demo-output")) -> None:
    """Cluster, train and test on a small rendered town: minutes, no network, no data needed.

    The town is drawn, not photographed. EfficientNet-Lite0 with NetVLAD is tested on streets that
    it is not trained on, before and after training; a page shows what it answered.
    Exits with 1 when training did not help.

    Parameters
    ----------
    output
        Where the town, the run and the page go.
    """
    with reporting() as report, locked(output, "running the demo"):
        result = run_demo(output, compute=machine.compute(), report=report)
        page = write_demo_page(output / "index.html", result)
    show(history_table(result.training.history))
    show(
        recall_table(
            f"Recall on {result.before.recalls.num_queries} queries of streets not trained on",
            {"off the shelf": result.before.recalls, "trained": result.after.recalls},
        )
    )
    show("The town is rendered: these figures say that the machinery works, not how well it")
    show("does on photographs.")
    show(f"Look at {page}")
    if not result.learned:
        print("netvlad: training did not raise R@1 on the town's test streets", file=sys.stderr)
        sys.exit(1)
