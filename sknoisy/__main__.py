"""``python -m sknoisy``."""

import sys

from sknoisy.command_line import main

if __name__ == "__main__":
    sys.exit(main())
