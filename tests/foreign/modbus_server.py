"""A press that speaks Modbus TCP through pymodbus, for tests.

Holding and input registers 0 to 7 follow the wall clock, not the number of reads (pymodbus's own simulator counts
reads). Everything past them is answered with exception 2. A request to write is refused with exception 1 and
reported, so that a test can say that none came.

Prints one JSON object per line on standard output: first `{"listening": {"host": …, "port": …}}`, then
`{"write": <function code>}` for each attempt. Ends at SIGTERM, and with `--until-stdin-closes` when whoever started
it is gone.
"""

import argparse
import asyncio
import math
import struct
import time

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from serving import say, until_told

REGISTERS = 8
RATED_KW = 22.0
CYCLE_SECS = 60


def registers(elapsed, first_piece):
    """What the press shows `elapsed` seconds after it was switched on. Big-endian, high word first.

    0–1 pieces (u32, one a second); 2 running (1 for 50 of each 60 seconds); 3–4 power in kW (f32);
    5–6 energy in Wh (u32, accrued); 7 alarm code (always 0).
    """
    running = elapsed % CYCLE_SECS < 50
    power = RATED_KW * (0.8 + 0.1 * math.sin(elapsed / 7)) if running else 0.4
    energy = RATED_KW * 0.8 * elapsed / 3.6
    packed = struct.pack(">IHfIH", (first_piece + int(elapsed)) % 2**32, running, power, int(energy) % 2**32, 0)
    return list(struct.unpack(f">{REGISTERS}H", packed))


async def serve(args):
    switched_on = time.monotonic()

    async def refresh(function, _start, _address, _count, current, written):
        if written is not None:
            say({"write": function})
            return ExcCodes.ILLEGAL_FUNCTION
        current[:REGISTERS] = registers(time.monotonic() - switched_on, args.first_piece)
        return None

    block = SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(args.unit, simdata=[block], action=refresh), address=(args.host, args.port))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    say({"listening": {"host": args.host, "port": port}})
    await until_told(args.until_stdin_closes)
    await server.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--unit", type=int, default=1)
    parser.add_argument("--first-piece", type=int, default=1000, help="where the piece counter begins")
    parser.add_argument("--until-stdin-closes", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
