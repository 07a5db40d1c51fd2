"""`python -m orchestrator` is `launch-job`."""

from orchestrator.cli.main import main

main()
