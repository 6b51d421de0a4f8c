"""`python -m folkways`: the same as the command `folkways`."""

from folkways.cli import main

if __name__ == "__main__":
    main()
