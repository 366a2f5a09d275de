"""A press that speaks OPC UA through asyncua, for tests.

One endpoint: Basic256Sha256, SignAndEncrypt, user name and password; no anonymous session, a wrong password ends as
BadUserAccessDenied. The server's certificate is made at start, in `--state`, unless it is there already: a restarted
server is the same server.

Nodes, in namespace 2 (`urn:inuse:tests:press`), all read-only, following the wall clock:
`Press1.Running` (Boolean), `Press1.Pieces` (UInt32, one a second), `Press1.Power` (Double, kW), `Press1.Energy`
(UInt64, Wh, accrued), `Press1.Recipe` (String: a secret of the factory, never to leave it), `Press1.Passing` (Double, 1, there for two seconds
and gone for two). With `--history` the past of all but the last is kept.

Prints one JSON object on standard output: `{"listening": {"host", "port", "url", "certificate", "sha1", "sha256"}}`;
`certificate` is a path (DER), `sha1` the thumbprint as OPC UA writes it, both digests in lower-case hexadecimal.
Ends at SIGTERM, and with `--until-stdin-closes` when whoever started it is gone.
"""

import argparse
import asyncio
import hashlib
import hmac
import ipaddress
import math
import pathlib
import time

from asyncua import Server, ua
from asyncua.crypto.cert_gen import dump_private_key_as_pem, generate_private_key, generate_self_signed_app_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from serving import say, until_told

APPLICATION_URI = "urn:inuse:tests:press:server"
NAMESPACE_URI = "urn:inuse:tests:press"
RATED_KW = 22.0
CYCLE_SECS = 60


class OneUser(UserManager):
    """Knows one name and its password, and nobody else."""

    def __init__(self, name, password):
        self.expected = (name, password)

    def get_user(self, iserver, username=None, password=None, certificate=None):
        given = (username or "", password.decode() if isinstance(password, bytes) else password or "")
        same = [hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, self.expected)]
        return User(role=UserRole.User, name=username) if all(same) else None


def certificate(state, host):
    """The paths of the server's certificate (DER) and key (PEM), made when missing."""
    der, key = state / "opcua-server.der", state / "opcua-server.key.pem"
    if not der.exists():
        private = generate_private_key()
        try:
            name = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        made = generate_self_signed_app_certificate(
            private,
            "press",
            {"organizationName": "inuse tests"},
            [x509.UniformResourceIdentifier(APPLICATION_URI), name],
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        )
        state.mkdir(parents=True, exist_ok=True)
        key.write_bytes(dump_private_key_as_pem(private))
        der.write_bytes(made.public_bytes(Encoding.DER))
    return der, key


def readings(elapsed, first_piece):
    """What the press shows `elapsed` seconds after it was switched on, by node."""
    running = elapsed % CYCLE_SECS < 50
    power = RATED_KW * (0.8 + 0.1 * math.sin(elapsed / 7)) if running else 0.4
    return {
        "Press1.Running": (running, ua.VariantType.Boolean),
        "Press1.Pieces": (first_piece + int(elapsed), ua.VariantType.UInt32),
        "Press1.Power": (power, ua.VariantType.Double),
        "Press1.Energy": (int(RATED_KW * 0.8 * elapsed / 3.6), ua.VariantType.UInt64),
        "Press1.Recipe": ("配方 7-甲", ua.VariantType.String),
    }


async def machine(server, first_piece, history):
    """Adds the press and keeps it running."""
    index = await server.register_namespace(NAMESPACE_URI)
    assert index == 2, f"the press is in namespace {index}"
    press = await server.nodes.objects.add_object(ua.NodeId("Press1", index), f"{index}:Press1")
    switched_on = time.monotonic()
    nodes = {}
    for name, (value, kind) in readings(0.0, first_piece).items():
        nodes[name] = await press.add_variable(ua.NodeId(name, index), f"{index}:{name}", value, kind)
        if history:
            await server.historize_node_data_change(nodes[name], count=10_000)

    async def run():
        passing = await press.add_variable(ua.NodeId("Press1.Passing", index), f"{index}:Passing", 1.0)
        there = True
        while True:
            # A node of a robot's program: there for two seconds, gone for two.
            wanted = int((time.monotonic() - switched_on) / 2) % 2 == 0
            if wanted and not there:
                passing = await press.add_variable(ua.NodeId("Press1.Passing", index), f"{index}:Passing", 1.0)
            if there and not wanted:
                await server.delete_nodes([passing])
            there = wanted
            for name, (value, kind) in readings(time.monotonic() - switched_on, first_piece).items():
                await nodes[name].write_value(value, kind)
            await asyncio.sleep(0.25)

    return run()


async def serve(args):
    der, key = certificate(args.state, args.certificate_host)
    server = Server(user_manager=OneUser(args.user, args.password_file.read_text().strip()))
    await server.init()
    await server.set_application_uri(APPLICATION_URI)
    server.set_endpoint(f"opc.tcp://{args.host}:{args.port}/press/")
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    server.set_identity_tokens([ua.UserNameIdentityToken])
    await server.load_certificate(der)
    await server.load_private_key(key)
    press = await machine(server, args.first_piece, args.history)
    async with server:
        port = server.bserver.port
        listening = {"host": args.host, "port": port, "url": f"opc.tcp://{args.host}:{port}/press/"}
        listening["certificate"] = str(der)
        listening["sha1"] = hashlib.sha1(der.read_bytes()).hexdigest()
        listening["sha256"] = hashlib.sha256(der.read_bytes()).hexdigest()
        running = asyncio.create_task(press)
        say({"listening": listening})
        await until_told(args.until_stdin_closes)
        running.cancel()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--state", type=pathlib.Path, required=True, help="where certificate and key are kept")
    parser.add_argument("--user", default="gateway")
    parser.add_argument("--password-file", type=pathlib.Path, required=True)
    parser.add_argument("--certificate-host", default="press-1.invalid", help="the name the certificate is for")
    parser.add_argument("--first-piece", type=int, default=1000, help="where the piece counter begins")
    parser.add_argument("--history", action="store_true", help="keep the past of each node")
    parser.add_argument("--until-stdin-closes", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
