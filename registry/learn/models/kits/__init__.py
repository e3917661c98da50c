"""Where encoders and decoders come from: one module a library."""
