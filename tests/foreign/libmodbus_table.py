"""One device with a value of every type in every byte order, through libmodbus, over Modbus TCP and a serial port.

The table is that of modbus_table.py: libmodbus's own calls for floats do not mean by a name of an order what others
mean. The serial port is a pair of ptys with a wire between them, so that both ends are ports.

Prints `{"listening": {"host": …, "port": …, "serial": …, "points": […]}}`. Ends
when standard input closes.
"""

import argparse
import asyncio
import ctypes
import os
import select
import socket
import threading
import tty

from modbus_table import BITS, table
from serving import say, until_told

LIBRARY = "libmodbus.so.5"
LONGEST = 260


class Mapping(ctypes.Structure):
    """modbus_mapping_t of libmodbus 3.1."""

    _fields_ = [
        *(
            (f"{kind}_{of}", ctypes.c_int)
            for of in ("bits", "input_bits", "input_registers", "registers")
            for kind in ("nb", "start")
        ),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    ]


def library():
    lib = ctypes.CDLL(LIBRARY, use_errno=True)
    pointer = ctypes.c_void_p
    lib.modbus_new_tcp.restype = lib.modbus_new_rtu.restype = pointer
    lib.modbus_new_rtu.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char, ctypes.c_int, ctypes.c_int]
    lib.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    return lib


def mapping(lib, registers):
    made = lib.modbus_mapping_new(len(BITS), len(BITS), len(registers), len(registers))
    for at, word in enumerate(registers):
        made.contents.tab_registers[at] = made.contents.tab_input_registers[at] = word
    for at, bit in enumerate(BITS):
        made.contents.tab_bits[at], made.contents.tab_input_bits[at] = bit, not bit
    return made


def answer(lib, context, made, receive):
    """Answers one master until it hangs up."""
    question = (ctypes.c_uint8 * LONGEST)()
    while True:
        length = receive(context, question)
        if length < 0:
            return
        if length > 0:
            lib.modbus_reply(ctypes.c_void_p(context), question, length, made)


def serve_tcp(lib, context, listening, made):
    receive = lambda context, question: lib.modbus_receive(ctypes.c_void_p(context), question)
    held = ctypes.c_int(listening)
    while lib.modbus_tcp_accept(ctypes.c_void_p(context), ctypes.byref(held)) >= 0:
        answer(lib, context, made, receive)
        lib.modbus_close(ctypes.c_void_p(context))


def serve_rtu(lib, context, made):
    while True:
        answer(lib, context, made, lambda context, question: lib.modbus_receive(ctypes.c_void_p(context), question))


def wire(one, other):
    """Carries bytes between two ptys, both ways."""
    while True:
        for end in select.select([one, other], [], [])[0]:
            os.write(other if end == one else one, os.read(end, 512))


async def serve(args):
    lib = library()
    points, registers = table()
    made = mapping(lib, registers)
    spawn = lambda target, *given: threading.Thread(target=target, args=given, daemon=True).start()

    tcp = lib.modbus_new_tcp(args.host.encode(), 0)
    # It says which port the system chose only through its socket.
    listening = lib.modbus_tcp_listen(ctypes.c_void_p(tcp), 1)
    assert listening >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=os.dup(listening)) as named:
        port = named.getsockname()[1]
    lib.modbus_set_slave(ctypes.c_void_p(tcp), args.unit)
    spawn(serve_tcp, lib, tcp, listening, made)

    (near_wire, near), (far_wire, far) = os.openpty(), os.openpty()
    for end in (near, far):
        tty.setraw(end)
    rtu = lib.modbus_new_rtu(os.ttyname(far).encode(), 115200, b"N", 8, 1)
    lib.modbus_set_slave(ctypes.c_void_p(rtu), args.unit)
    assert lib.modbus_connect(ctypes.c_void_p(rtu)) == 0, os.strerror(ctypes.get_errno())
    spawn(serve_rtu, lib, rtu, made)
    spawn(wire, near_wire, far_wire)

    say({"listening": {"host": args.host, "port": port, "serial": os.ttyname(near), "points": points}})
    await until_told(args.until_stdin_closes)
    # Threads that wait within the library end with the process.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--unit", type=int, default=7)
    parser.add_argument("--until-stdin-closes", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
