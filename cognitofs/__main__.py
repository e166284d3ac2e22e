"""`python -m cognitofs` is the console script `cognitofs`."""

from cognitofs.cli.main import main

main()
