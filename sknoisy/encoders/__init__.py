"""Transformers that turn images and texts into rows of numbers by pretrained models."""

from sknoisy.encoders._image_encoder import ImageEncoder
from sknoisy.encoders._text_encoder import TextEncoder

__all__ = ["ImageEncoder", "TextEncoder"]
