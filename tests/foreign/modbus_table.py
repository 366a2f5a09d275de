"""One device with a value of every type in every byte order, through pymodbus, over Modbus TCP and RTU over TCP.

Prints `{"listening": {"host": …, "port": …, "rtu_port": …, "points": [{"type", "order", "address", "value"} …]}}`: what
stands where is laid out here with Python's struct module and by the letters of the order alone. Ends when standard
input closes.
"""

import argparse
import asyncio
import itertools
import struct

from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from serving import say, until_told

# Python's letter for each type, and a value that reads differently in every order.
TYPES = {
    "u16": ("H", 0x1234),
    "i16": ("h", -1234),
    "f16": ("e", 1.5),
    "u32": ("I", 0x12345678),
    "i32": ("i", -123456789),
    "f32": ("f", 12.625),
    "u64": ("Q", 0x0012345678ABCDEF),
    "i64": ("q", -1234567890123456),
    "f64": ("d", 1234.0625),
}
BCD = {"bcd16": (2, 9301), "bcd32": (4, 93017652)}


def orders(size):
    """All orders of two or four bytes; of eight those that are made of whole words, halves and swapped bytes."""
    letters = "ABCDEFGH"[:size]
    if size < 8:
        return ["".join(order) for order in itertools.permutations(letters)]
    found = set()
    for words in itertools.permutations(["AB", "CD", "EF", "GH"]):
        found.add("".join(words))
        found.add("".join(word[::-1] for word in words))
    return sorted(found)


def laid_out(points, registers, kind, value, big_endian):
    for order in orders(len(big_endian)):
        wire = bytes(big_endian[ord(letter) - ord("A")] for letter in order)
        points.append({"type": kind, "order": order, "address": len(registers), "value": value})
        registers += struct.unpack(f">{len(wire) // 2}H", wire)


def table():
    points, registers = [], []
    for kind, (letter, value) in TYPES.items():
        laid_out(points, registers, kind, value, struct.pack(">" + letter, value))
    for kind, (size, value) in BCD.items():
        laid_out(points, registers, kind, value, bytes.fromhex(str(value).zfill(size * 2)))
    return points, registers


async def serve(args):
    points, registers = table()
    ports = []
    servers = []
    for framer in (FramerType.SOCKET, FramerType.RTU):
        block = SimData(0, values=list(registers), datatype=DataType.REGISTERS)
        device = SimDevice(args.unit, simdata=[block])
        server = ModbusTcpServer(device, framer=framer, address=(args.host, 0))
        await server.serve_forever(background=True)
        ports.append(server.transport.sockets[0].getsockname()[1])
        servers.append(server)
    say({"listening": {"host": args.host, "port": ports[0], "rtu_port": ports[1], "points": points}})
    await until_told(args.until_stdin_closes)
    for server in servers:
        await server.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--unit", type=int, default=7)
    parser.add_argument("--until-stdin-closes", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
