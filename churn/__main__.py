"""Run the command line as `python -m churn`."""

from churn.cli.main import main

if __name__ == "__main__":
    main(prog_name="churn")
