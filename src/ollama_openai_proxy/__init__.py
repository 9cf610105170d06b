"""An Ollama server with any OpenAI-compatible backend behind it."""

TYPE_CHECKING = False  # type checkers know it by this name; the module typing costs more than all of `probe`

if TYPE_CHECKING:
    __version__: str
else:  # checkers would take a `__getattr__` for any name at all

    def __getattr__(name: str) -> str:
        """Look up `__version__` when it is asked for: what knows it takes long to import."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version  # noqa: PLC0415  # see above

        return version("ollama-openai-proxy")
