"""`python -m smapskit`: see `smapskit.cli`."""

from smapskit.cli import run

if __name__ == "__main__":
    run()
