"""``python -m streams.cli`` is ``pivotwatch``; so workers are started without a search for the script."""

from streams.cli import main

main(prog_name="pivotwatch")
