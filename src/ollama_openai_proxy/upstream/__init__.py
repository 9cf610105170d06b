"""The backend: the only package that opens connections. Its seam is narrow: `open` a call, `read` its reply, `close`."""
