"""Find wrong labels in frames, files and images, with all that must be read for it."""

from sknoisy.auditing._audit import audit

__all__ = ["audit"]
