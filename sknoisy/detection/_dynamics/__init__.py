"""Training dynamics: their recording, and the encoder that clusters them."""
