"""`python -m runoff`."""

from runoff.cli.main import run

if __name__ == "__main__":
    run()
