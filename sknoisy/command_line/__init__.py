"""The commands ``sknoisy audit`` and ``sknoisy inject``."""

from sknoisy.command_line._main import main

__all__ = ["main"]
