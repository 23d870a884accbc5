"""``python -m evalsvc``."""

from evalsvc.cli.main import main

main()
