"""``python -m pivotwatch`` is ``pivotwatch``; so workers are started without a search for the script."""

from pivotwatch.cli import main

main(prog_name="pivotwatch")
