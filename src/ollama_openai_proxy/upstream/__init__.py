"""The backend: the only package that opens connections. The seam is narrow: `open` a call, `read` it, `close` it."""
