"""``python -m datastore.cli``."""

from datastore.cli.program import main

if __name__ == "__main__":
    main()
