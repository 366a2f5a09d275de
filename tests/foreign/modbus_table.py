"""One device with a value of every type in every byte order, through pymodbus, over Modbus TCP and RTU over TCP.

Prints `{"listening": {"host": …, "port": …, "rtu_port": …, "identity": …, "points": […]}}`. A point has `type`, `address`
and `value`, and where they matter `order`, `table`, `bit`, `registers`, `scale`, `base` and `text`: what stands where is
laid out here with Python's struct module and by the letters of the order alone. Ends when standard input closes.
"""

import argparse
import asyncio
import itertools
import struct

from pymodbus import FramerType, ModbusDeviceIdentification
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
BITS = [True, False, False, True, True, False, True, False] * 4
TEXTS = [("SDM630-V2", "ascii"), ("注塑机七号", "gbk")]
IDENTITY = {"VendorName": "inuse tests", "ProductCode": "TABLE", "MajorMinorRevision": "7.1"}


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


def in_registers(points, registers):
    """Bits of a register, texts in both orders of bytes, a scale, and an address that counts from one."""
    for bit in range(16):
        points.append({"type": "bit", "bit": bit, "address": len(registers), "value": 0xB3C5 >> bit & 1})
    registers.append(0xB3C5)
    for text, encoding in TEXTS:
        written = text.encode(encoding)
        written += b"\0" * (len(written) % 2 + 2)
        for order in ("ABCD", "BADC"):
            words = struct.unpack(f"{'>' if order == 'ABCD' else '<'}{len(written) // 2}H", written)
            at = {"address": len(registers), "registers": len(words)}
            points.append({"type": "text", "order": order, "text": text, **at})
            registers += words
    points.append({"type": "i16", "scale": 0.5, "base": 1, "address": len(registers) + 1, "value": -20.5})
    registers.append(struct.unpack(">H", struct.pack(">h", -41))[0])


def table():
    """Points, and what stands in holding registers; [`BITS`] are coils, turned discrete inputs, and the registers are input
    registers too."""
    points, registers = [], []
    for kind, (letter, value) in TYPES.items():
        laid_out(points, registers, kind, value, struct.pack(">" + letter, value))
    for kind, (size, value) in BCD.items():
        laid_out(points, registers, kind, value, bytes.fromhex(str(value).zfill(size * 2)))
    in_registers(points, registers)
    points += [{"type": "u16", "table": "input", "address": at, "value": registers[at]} for at in (0, 7, len(registers) - 1)]
    for at, bit in enumerate(BITS):
        points.append({"table": "coil", "address": at, "value": int(bit)})
        points.append({"table": "discrete", "address": at, "value": int(not bit)})
    return points, registers


async def serve(args):
    points, registers = table()
    ports = []
    servers = []
    for framer in (FramerType.SOCKET, FramerType.RTU):
        words = lambda: [SimData(0, values=list(registers), datatype=DataType.REGISTERS)]
        bits = lambda values: [SimData(0, values=values, datatype=DataType.BITS)]
        blocks = (bits(list(BITS)), bits([not bit for bit in BITS]), words(), words())
        identity = ModbusDeviceIdentification(info_name=IDENTITY)
        device = SimDevice(args.unit, simdata=blocks, identity=identity)
        server = ModbusTcpServer(device, framer=framer, identity=identity, address=(args.host, 0))
        await server.serve_forever(background=True)
        ports.append(server.transport.sockets[0].getsockname()[1])
        servers.append(server)
    listening = {"host": args.host, "port": ports[0], "rtu_port": ports[1], "points": points}
    say({"listening": {**listening, "identity": IDENTITY}})
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
