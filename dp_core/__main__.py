"""``python -m dp_core`` is the program ``dp``."""

from dp_core.cli import main

if __name__ == "__main__":
    main()
