"""python -m aibrix_mw."""

from aibrix_mw.cli import main

main()
