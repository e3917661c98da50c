"""``python -m registry.cli``: the command ``eolab``, wherever its script is not on the path."""

from registry.cli.app import main

if __name__ == "__main__":
    main()
