"""``python -m netvlad``."""

from netvlad.cli.main import main

main()
