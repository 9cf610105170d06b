"""The command `ollama-openai-proxy`, and `python -m ollama_openai_proxy`: what must be in place before the imports.

Most of a start is imports. A signal that comes meanwhile ends the process in silence, and a failure is one line.
`probe` needs none of them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal without its enums: they take long, and signals don't wait
import gc
import os
import sys

TYPE_CHECKING = False  # see __init__.py
# So many new objects before the next look for garbage, and a start makes fewer: what imports make stays, and to look
# through it takes an eighth of the start in steps as small as Python's own, a fourteenth in steps of 50,000.
_MANY_OBJECTS = 500_000
if TYPE_CHECKING:
    from types import TracebackType


def main() -> int:
    """Run the command that the process was started with, and return its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["probe"]:
        from ollama_openai_proxy import probe  # noqa: PLC0415  # nothing else, for it runs every few seconds

        return probe.main(arguments[1:])
    _open_standard_descriptors()
    checking = arguments[:1] == ["check"]
    # Whoever stops a server gets what was asked for; whoever stops a check has no result.
    _end_on_signals(status=None if checking else 0)
    if not checking:
        sys.excepthook = _tell
    gc.set_threshold(_MANY_OBJECTS)
    # pydantic would look through all that is installed for plugins, and show them the settings with their keys.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from ollama_openai_proxy import cli  # noqa: PLC0415  # this is what takes long

    status = cli.main(arguments)
    _end_on_signals(status)  # the loop took them and left Python's own
    return status


def _open_standard_descriptors() -> None:
    """Keep 0, 1 and 2 from being sockets, where they were closed: others write to them, and libuv aborts over it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free


def _end_on_signals(status: int | None) -> None:
    """End the process at once, with the status or that of the signal, until a loop takes the signals.

    As process 1 of a container it would not get a signal that it has no handler for.
    """

    def end(number: int, _: object) -> None:
        os._exit(128 + number if status is None else status)

    def hang_up(*_: object) -> None:
        _signal.raise_signal(_signal.SIGTERM)

    _signal.signal(_signal.SIGTERM, end)
    _signal.signal(_signal.SIGINT, end)
    if _signal.getsignal(_signal.SIGHUP) is not _signal.SIG_IGN:  # which nohup asks for
        _signal.signal(_signal.SIGHUP, hang_up)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write what ended the process as one line of JSON, for people as Python does: logging may not be there yet."""
    import json  # noqa: PLC0415  # only for a process that has failed
    from datetime import UTC, datetime  # noqa: PLC0415  # the same

    from ollama_openai_proxy.observe.log_text import is_wanted  # noqa: PLC0415  # the same
    from ollama_openai_proxy.observe.tracebacks import describe, summary  # noqa: PLC0415  # the same

    if is_wanted(os.environ, sys.stderr):
        sys.__excepthook__(kind, error, trace)
        return
    line = {
        "time": datetime.now(UTC).isoformat(),
        "level": "CRITICAL",
        "message": summary(error),
        "exc_info": describe(error),
    }
    sys.stderr.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
