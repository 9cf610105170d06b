"""`serve`: the process that serves, or the parent of those that do."""

from __future__ import annotations

import argparse
import errno
import fcntl
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ollama_openai_proxy import __version__
from ollama_openai_proxy.observe import logs
from ollama_openai_proxy.observe.log_file import LogFile
from ollama_openai_proxy.observe.metrics_workers import VARIABLE, forget, share
from ollama_openai_proxy.serve.descriptors import raise_limit
from ollama_openai_proxy.serve.sockets import listen
from ollama_openai_proxy.setting_warnings import warnings
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.workers import Supervisor

FAILED = 1
MISUSED = 2  # as in cli.py

_NO_BACKEND = "OPENAI_API_BASE_URL is not set"
_DEMO = f"{_NO_BACKEND}: starting with the embedded demo backend"
# Always a file system in memory, in a container whose root can't be written, too.
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a directory of its own is made there
_PREFIX = "ollama-openai-proxy-"
_FLUSH_SECONDS = 1.0
# What workers may take beyond their own deadline before they are killed.
_GRACE_SECONDS = 10.0


def serve(loaded: Settings, options: argparse.Namespace) -> int:
    """Serve until a signal ends it, and return the exit status."""
    # Whoever looks at the program for the first time is a person.
    for_people = options.first_look and "log_format" not in loaded.model_fields_set
    fmt = "text" if for_people else loaded.log_format
    if not loaded.base_url and not options.demo:
        if not options.first_look:
            logs.fail(f"{_NO_BACKEND}: give the URL of a backend, or use `serve --demo`", fmt=fmt)
            return MISUSED
        if options.slot is None and fmt == "text":
            print(_DEMO, flush=True)
        options.demo = True
    options.tell = options.first_look and fmt == "text"
    workers = loaded.workers if options.workers is None else options.workers
    if workers < 1:
        logs.fail("--workers must be at least 1", fmt=fmt)
        return MISUSED
    try:
        lines = _log(loaded, fmt, starting=options.slot is None)
    except OSError as error:
        logs.fail(f"LOG_FILE can't be written: {error.strerror or error}", fmt=fmt)
        return FAILED
    try:
        return _serve(loaded, options, workers, lines)
    except OSError as error:
        logs.fail(str(error), fmt=fmt)
        return FAILED
    finally:
        lines.close(_FLUSH_SECONDS)


def _log(loaded: Settings, fmt: logs.Format, *, starting: bool) -> logs.Logs:
    """Configure the log. Raises OSError when its file can't be used.

    Not in a worker, which may replace one that died: a file that became unwritable stops nobody who serves.
    """
    file = LogFile(loaded.log_file, loaded.log_file_size) if loaded.log_file else None
    if file and starting:
        file.check()
    return logs.configure(
        loaded.log_level,
        fmt=fmt,
        version=__version__,
        environment=loaded.env,
        colour=False if os.environ.get("NO_COLOR") else None,  # https://no-color.org
        file=file,
    )


def _serve(loaded: Settings, options: argparse.Namespace, workers: int, lines: logs.Logs) -> int:
    raise_limit()
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # they would end all streams without a word
        signal.signal(number, signal.SIG_IGN)
    listeners = _inherited(options.fds) if options.fds else _listen(loaded)
    shared = Path(os.environ[VARIABLE]) if options.slot is not None else None
    if shared:
        share(shared, options.slot)
    if options.slot is None:
        if loaded.data_dir:  # whoever replaces a worker serves on, whatever has become of the folder
            # Not before it is wanted: the parent of workers is to stay small.
            from ollama_openai_proxy.serve.aliases import check  # noqa: PLC0415  # see above

            check(loaded.data_dir, writable=loaded.management_enabled)
        logs.lifecycle("starting", workers=workers)
        for warning in warnings(loaded, os.environ):
            logging.getLogger(__name__).warning("%s", warning)
        if workers > 1:
            return _supervise(loaded, options, workers, listeners)
    if os.getpid() == 1:
        # It has no children. As the first process of a container it is given those whose parent died, and is not to
        # keep what is left of them; the kernel then does not even ask.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Not before it is known that this process serves: the parent of workers is to stay small.
    from ollama_openai_proxy.process import run  # noqa: PLC0415  # see above

    return run(loaded, options, listeners, shared, lines)


def _listen(loaded: Settings) -> list[socket.socket]:
    """Return the sockets: the proxy's, and that of the metrics if they have a port to themselves."""
    host = "PROXY_HOST" if loaded.proxy_host else "OLLAMA_HOST"
    own = "OLLAMA_HOST" if loaded.proxy_port is None else "PROXY_PORT"
    ports = ((own, loaded.port), ("METRICS_PORT", loaded.metrics_port))
    return [_listener(loaded.host, port, (host, name)) for name, port in ports if port is not None]


def _listener(host: str, port: int, names: tuple[str, str]) -> socket.socket:
    """Return a listening socket. Raises OSError, which names the variable that is wrong: the host or the port."""
    place = f"can't listen on {f'[{host}]' if ':' in host else host}:{port}"
    try:
        return listen(host, port)
    except UnicodeError:
        raise OSError(f"{names[0]}: {place}: no such name") from None
    except OSError as error:
        is_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        raise OSError(f"{names[0 if is_host else 1]}: {place}: {error.strerror or error}") from None


def _inherited(numbers: str) -> list[socket.socket]:
    return [socket.socket(fileno=int(number)) for number in numbers.split(",")]


def _supervise(loaded: Settings, options: argparse.Namespace, workers: int, listeners: list[socket.socket]) -> int:
    command = [sys.executable, "-m", "ollama_openai_proxy", "serve"]
    if options.demo:
        command += ["--demo", "--rate", str(options.rate)]
    if options.first_look:
        command.append("--try")
    with ExitStack() as stack:
        directory = _shared_directory()
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(os.close, _hold(directory))
        supervisor = Supervisor(
            command,
            listeners,
            workers,
            environ=_environ(directory),
            stop_within=loaded.drain_timeout + _GRACE_SECONDS,
            on_dead=partial(forget, directory),
            log=logging.getLogger(__name__),
        )
        status = supervisor.run()
    logs.lifecycle("stopped", code=status)
    return status


def _environ(directory: Path) -> Mapping[str, str]:
    return {**os.environ, VARIABLE: str(directory)}


def _hold(directory: Path) -> int:
    """Lock the directory for as long as this process lives, however it ends. Return what to close."""
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _is_held(directory: Path) -> bool:
    """Whether somebody uses it, or it is none of ours."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _shared_directory() -> Path:
    """Make the directory where the workers share metrics and aliases, and remove those of the dead. Raises OSError."""
    where = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    for left in where.glob(f"{_PREFIX}*"):
        if not _is_held(left):
            shutil.rmtree(left, ignore_errors=True)
    try:
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    except OSError:
        raise OSError(
            f"workers need {_SHARED_MEMORY} or TMPDIR to be writable: they share their metrics there"
        ) from None
