"""``netvlad index``: make an index of photos, change it, look into it."""

import cyclopts

from netvlad.cli.commands.index_build import add, build
from netvlad.cli.commands.index_calibrate import calibrate
from netvlad.cli.commands.index_contents import info, remove
from netvlad.cli.commands.index_upkeep import optimize, verify

index = cyclopts.App(
    name="index",
    help="""Make an index of photos, change it, look into it.

    An index is a folder: the model, a descriptor of every photo, and what is known about where,
    when and in which direction each was taken. `netvlad locate` asks it. It may also lie in Milvus:
    give milvus://HOST:19530/COLLECTION wherever an index is asked for.

    ```
    netvlad index build photos/ --index my.index
    netvlad locate query.jpg --index my.index
    ```""",
)

for command in (build, add, remove, info, verify, optimize, calibrate):
    index.command(command)
