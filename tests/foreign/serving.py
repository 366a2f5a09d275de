"""How a foreign server tells a test where it is, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import threading


def say(line):
    """Prints one JSON object as one line, at once."""
    print(json.dumps(line, ensure_ascii=False), flush=True)


async def until_told(with_parent):
    """Returns at SIGTERM or SIGINT; with `with_parent`, also when standard input closes.

    A test holds the other end of standard input, so that nothing is left running when the test is killed.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:

        def watch():
            while os.read(sys.stdin.fileno(), 4096):
                pass
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=watch, daemon=True).start()
    await stop.wait()
