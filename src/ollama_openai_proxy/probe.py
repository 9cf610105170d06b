"""`probe`: whether the proxy on this machine answers. Runs alone, too, and cheapest: `python -I -S probe.py`.

A health check runs for as long as the proxy does, every few seconds, and should cost little more than the start of an
interpreter. So nothing is imported here but what is built into the interpreter or one small file (not even
`__future__`), and the settings are read without settings.py, in the way it reads them.
"""

import _socket
import sys
from _thread import start_new_thread
from posix import _exit, environ, write
from time import sleep

SECONDS = 3.0  # for all of it: the name, the connection, the answer

_LONGEST_LINE = 4096
_USAGE = """usage: ollama-openai-proxy probe [PATH]

Exit with 0 if the proxy on this machine answers PATH (/live) with 200, else with 1 and the reason.
"""


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status: 0, or 1 and a line on standard error that says why."""
    if arguments in (["-h"], ["--help"]):
        return _say(1, _USAGE, 0)
    start_new_thread(_give_up, ())
    path = arguments[0] if arguments else "/live"
    if len(arguments) > 1 or path[:1] != "/" or " " in path or not (path.isascii() and path.isprintable()):
        return _fail("takes no more than a path, such as /ready")
    try:
        host, port = where({_text(name): _text(value) for name, value in environ.items()}, _dotenv())
    except ValueError as error:
        return _fail(str(error))
    return probe(host, port, path)


def probe(host: str, port: int, path: str = "/live") -> int:
    """Ask for the path and return the exit status: 0 if the answer is 200. Its deadline is that of `main`."""
    # Listening on all, reached on one: `::` takes IPv4 too, and containers often have no ::1.
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)  # noqa: S104  # see above
    shown = host.rpartition("@")[2] or "localhost"
    shown = ascii(f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}")[1:-1]
    try:
        line = _ask(host, port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    except ConnectionRefusedError:
        return _fail(f"{shown} refused the connection")
    except ConnectionError:
        return _fail(f"{shown} broke the connection")
    except OSError as error:
        return _fail(f"{shown} can't be reached: {error.strerror}")
    except ValueError:  # its message holds the name as it is
        return _fail(f"{shown} can't be reached: no name can be that")
    status = line[9:12]
    if line[:9] not in (b"HTTP/1.1 ", b"HTTP/1.0 ") or not status.isdigit() or line[12:13] not in (b" ", b"\r"):
        return _fail(f"{shown} gave no HTTP answer")
    return 0 if status == b"200" else _fail(f"{shown} answered {status.decode()}")


def where(variables: dict[str, str], dotenv: str = "") -> tuple[str, int]:
    """Return the host and port that the environment and the text of `.env` tell the proxy to listen on.

    Raises ValueError, with no value in it, for what the proxy would not start with.
    """
    found = {"ollama_host": "127.0.0.1:11434"}
    names = ("proxy_host", "proxy_port", "ollama_host")
    if any(name in dotenv.lower() for name in names):
        found |= {name.lower(): value for name, value in _assigned(dotenv, variables).items() if value is not None}
    found |= {name.lower(): value for name, value in variables.items()}
    for name in names:
        if name in found:
            found[name] = found[name].strip().strip("\"'")
            if not found[name].strip():
                raise ValueError(f"{name.upper()} is empty")
    host, port = _host_and_port(found["ollama_host"])
    host = found["proxy_host"].strip("[]") if "proxy_host" in found else host
    port = _port("PROXY_PORT", found["proxy_port"].partition(".")[0]) if "proxy_port" in found else port
    if not port:
        raise ValueError("the port is 0, which stands for any that was free")
    return host, port


def _host_and_port(value: str) -> tuple[str, int]:
    """Do what settings.py does by the same name."""
    scheme, _, rest = value.rpartition("://")
    port = 80 if scheme == "http" else 443 if scheme == "https" else 11434
    rest = rest.partition("/")[0]
    if rest.count(":") > 1 and rest[0] != "[":
        return rest, port
    host, colon, digits = (rest, "", "") if rest[-1:] == "]" else rest.rpartition(":")
    if not colon:
        host = host or digits
    elif digits:
        port = _port("OLLAMA_HOST", digits if digits.isdecimal() else "")
    return host.strip("[]") or ("0.0.0.0" if colon else "127.0.0.1"), port  # noqa: S104  # what ":1234" means


def _port(name: str, digits: str) -> int:
    try:
        port = int(digits)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ValueError(f"{name} has a port that is none")
    return port


def _ask(host: str, port: int, request: bytes) -> bytes:
    """Send the request, and return the first line of the answer and what came with it, nothing if there is none."""
    connection = _connect(host, port)
    try:
        connection.sendall(request)
        line = b""
        while b"\n" not in line and len(line) < _LONGEST_LINE and (read := connection.recv(_LONGEST_LINE)):
            line += read
        return line if b"\n" in line else b""
    finally:
        connection.close()


def _connect(host: str, port: int) -> _socket.socket:
    """Try each address of the host in turn."""
    name = host.encode() if host.isascii() else host  # bytes need no codec for international names
    addresses = _socket.getaddrinfo(name or None, port, 0, _socket.SOCK_STREAM)
    problem = OSError(0, "no address")
    for family, kind, protocol, _, address in addresses:
        connection = _socket.socket(family, kind, protocol)
        if address != addresses[-1][-1]:  # which may take all the time that is left
            connection.settimeout(SECONDS / len(addresses))
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            connection.settimeout(None)
            return connection
    raise problem


def _dotenv() -> str:
    try:
        with open(".env", encoding="utf-8") as file:  # noqa: PTH123  # pathlib takes longer than the rest
            return file.read()
    except (FileNotFoundError, IsADirectoryError):
        return ""
    except (OSError, ValueError):
        raise ValueError(".env can't be read as text") from None


def _assigned(dotenv: str, variables: dict[str, str]) -> dict[str, str | None]:
    """Return what the text of `.env` assigns, as the package python-dotenv reads it."""
    import re  # noqa: PLC0415  # longer than all the rest, and few have a .env

    statement = re.compile(
        r"""\s*(?:export[^\S\n]+)?
        (?:('[^']+'|(?!')[^=\#\s]+)[^\S\n]*
            (?:(=)(?:[^\S\n]+(?=\#)|[^\S\n]*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?!['"])[^\n]+)?))?
        )?(?:[^\S\n]*\#[^\n]*)?([^\S\n]*(?:\n|\Z))?""",
        re.DOTALL | re.VERBOSE,
    )
    escapes = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))
    assigned: dict[str, str | None] = {}

    def expand(match: re.Match[str]) -> str:
        return {**variables, **assigned}.get(match[1], match[2] or "") or ""

    position = 0
    text = dotenv.removeprefix("\ufeff")
    while position < len(text) and (match := statement.match(text, position)):
        key, equals, value, end = match.groups()
        position = match.end()
        if end is None:  # what can't be read is left out, to the end of its line
            position = text.find("\n", position) + 1 or len(text)
        elif key:
            value = value or ""
            if value[:1] in ("'", '"'):
                pattern = r"\\([\\'])" if value[0] == "'" else r"""\\([\\'"abfnrtv])"""
                value = re.sub(pattern, lambda escape: escapes[escape[1]], value[1:-1])
            else:
                value = re.sub(r"\s+#.*", "", value).rstrip()
            value = re.sub(r"\$\{([^}:]*)(?::-([^}]*))?\}", expand, value)
            assigned[key.strip("'") if key[0] == "'" else key] = value if equals else None
    return assigned


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _give_up() -> None:
    """End the process when its time is over, whatever it waits for: names are looked up without a deadline."""
    sleep(SECONDS)
    _exit(_fail(f"no answer within {SECONDS:g} s"))


def _fail(reason: str) -> int:
    return _say(2, f"probe: {reason}\n", 1)


def _say(where_to: int, text: str, status: int) -> int:
    try:  # noqa: SIM105  # contextlib is no small file
        write(where_to, text.encode())
    except OSError:  # nobody listens; the status says it, too
        pass
    return status


if __name__ == "__main__":
    _exit(main(sys.argv[1:]))  # at once: there is nothing to tidy up
