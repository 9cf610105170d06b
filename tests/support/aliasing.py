"""A process that changes the table of aliases in a folder, and what may befall it meanwhile.

python -m support.aliasing FOLDER put NAME...      add these aliases, one after the other; print "done"
python -m support.aliasing FOLDER die NAME         be killed before the new file takes the place of the old one
python -m support.aliasing FOLDER full NAME        have no room for more than a few bytes; print what comes of it
python -m support.aliasing FOLDER hold             lock the table, print "held", until standard input ends
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import sys
from pathlib import Path

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.serve.aliases import Aliases
from ollama_openai_proxy.translate.aliases import Alias


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def put(aliases: Aliases, names: list[str]) -> None:
    for name in names:
        await aliases.put(Alias(name, "m", 1))
    say("done")


def die(event: str, _args: object) -> None:
    if event == "os.rename":
        os.kill(os.getpid(), signal.SIGKILL)


async def full(aliases: Aliases, name: str) -> None:
    before = aliases.current()
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))  # Python ignores the signal
    try:
        await aliases.put(Alias(name, "m", 1))
    except ProxyError as error:
        say("|".join((str(error.status), error.message, str(aliases.current() is before))))


def hold(folder: Path) -> None:
    with (folder / "aliases.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        say("held")
        sys.stdin.read()


def main(folder: Path, what: str, *names: str) -> None:
    aliases = Aliases(folder, patience=60)
    if what == "hold":
        hold(folder)
    elif what == "full":
        asyncio.run(full(aliases, names[0]))
    else:
        if what == "die":
            sys.addaudithook(die)
        asyncio.run(put(aliases, [*names]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
