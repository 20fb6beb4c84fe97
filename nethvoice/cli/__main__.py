"""`python -m nethvoice.cli`."""

from nethvoice.cli import main

main()
