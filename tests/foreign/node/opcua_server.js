"use strict";
// A filling machine that speaks OPC UA through node-opcua, for tests.
//
// Every policy that Node.js still decrypts, signed or encrypted too, user name and password; no anonymous session. Any client's certificate is
// taken; the server's own is made at start, in `--state`, unless it is there already: a restarted server is the same server.
//
// Nodes, in the namespace `urn:inuse:tests:filler`, under `灌装机`, all read-only, named for their types (`Boolean` to
// `Double`), each counting by the tick of 250 ms in a range that no other has, so that a value of the wrong node shows;
// `配方` (String: a secret of the factory, never to leave it); `过客` (Double, 1, there for eight ticks and gone for eight).
// With `--history` the past of the numbers is kept.
//
// Prints JSON objects on standard output, one a line: first `{"listening": {"host", "port", "url", "sha1", "sha256"}}` (the
// thumbprints of its certificate, in lower-case hexadecimal), and at the end `{"served": {"<node>": [every value it had]}}`.
// Ends at SIGTERM, and with `--until-stdin-closes` when whoever started it is gone.

const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { createServer } = require("node:net");
const { join } = require("node:path");
const { parseArgs } = require("node:util");

// Standard output is for what tests read; the library's own words go beside it.
console.log = console.error;

const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { OPCUAServer } = require("node-opcua-server");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");

const NAMESPACE_URI = "urn:inuse:tests:filler";
const MACHINE = "灌装机";
const TICK_MS = 250;
const PASSING_TICKS = 8;

// What each node shows at a tick, exactly in its type for some 25,000 of them.
const NUMBERS = {
  Boolean: (n) => n % 2 === 1,
  SByte: (n) => -1 - (n % 100),
  Byte: (n) => 100 + (n % 100),
  Int16: (n) => -1_000 - n,
  UInt16: (n) => 40_000 + n,
  Int32: (n) => -100_000 - n,
  UInt32: (n) => 3_000_000_000 + n,
  Float: (n) => 5_000.5 + n,
  Double: (n) => 1e7 + 0.25 + n,
  Int64: (n) => -(2 ** 40) - n,
  UInt64: (n) => 2 ** 50 + n,
};

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function asked() {
  const text = { type: "string" };
  const { values } = parseArgs({
    options: {
      host: { ...text, default: "127.0.0.1" },
      state: text,
      user: { ...text, default: "gateway" },
      "password-file": text,
      history: { type: "boolean", default: false },
      "until-stdin-closes": { type: "boolean", default: false },
    },
  });
  for (const name of ["state", "password-file"]) {
    if (!values[name]) throw new Error(`--${name} is missing`);
  }
  return values;
}

/** A port that nobody has: the library wants to know its own before it opens it. */
function freePort(host) {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, host, () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Adds the machine; returns what runs it, tick by tick, and what it has shown. */
function machine(addressSpace, history) {
  const namespace = addressSpace.registerNamespace(NAMESPACE_URI);
  const folder = addressSpace.rootFolder.objects;
  const object = namespace.addObject({ organizedBy: folder, browseName: MACHINE, nodeId: `s=${MACHINE}` });
  const variable = (name, value) =>
    namespace.addVariable({
      componentOf: object,
      browseName: name,
      nodeId: `s=${MACHINE}.${name}`,
      dataType: value.dataType,
      accessLevel: history ? "CurrentRead | HistoryRead" : "CurrentRead",
      userAccessLevel: history ? "CurrentRead | HistoryRead" : "CurrentRead",
      value,
    });
  // As the library writes 64 bits: the upper and the lower half.
  const halves = (value) => {
    const bits = BigInt.asUintN(64, BigInt(value));
    return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
  };
  const variant = (name, value) =>
    new Variant({
      dataType: DataType[name],
      arrayType: VariantArrayType.Scalar,
      value: name.endsWith("Int64") ? halves(value) : value,
    });
  const served = {};
  const nodes = {};
  for (const [name, show] of Object.entries(NUMBERS)) {
    nodes[name] = variable(name, variant(name, show(0)));
    if (history) addressSpace.installHistoricalDataNode(nodes[name], { maxOnlineValues: 10_000 });
    served[name] = [Number(show(0))];
  }
  variable("配方", variant("String", "配方 7-甲"));
  let passing = variable("过客", variant("Double", 1));
  let n = 0;
  const tick = () => {
    n += 1;
    for (const [name, show] of Object.entries(NUMBERS)) {
      served[name].push(Number(show(n)));
      nodes[name].setValueFromSource(variant(name, show(n)));
    }
    const wanted = Math.floor(n / PASSING_TICKS) % 2 === 0;
    if (wanted && !passing) passing = variable("过客", variant("Double", 1));
    if (!wanted && passing) {
      namespace.deleteNode(passing);
      passing = null;
    }
  };
  return { tick, served };
}

async function main() {
  const args = asked();
  const password = readFileSync(args["password-file"], "utf8").trim();
  const port = await freePort(args.host);
  const certificates = new OPCUACertificateManager({
    rootFolder: join(args.state, "pki"),
    automaticallyAcceptUnknownCertificate: true,
  });
  await certificates.initialize();
  const server = new OPCUAServer({
    host: args.host,
    port,
    resourcePath: "/filler",
    alternateHostname: [args.host],
    serverCertificateManager: certificates,
    userCertificateManager: certificates,
    securityPolicies: [
      SecurityPolicy.Basic256,
      SecurityPolicy.Basic256Sha256,
      SecurityPolicy.Aes128_Sha256_RsaOaep,
      SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    securityModes: [MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    allowAnonymous: false,
    userManager: { isValidUser: (user, given) => user === args.user && given === password },
  });
  await server.initialize();
  const { tick, served } = machine(server.engine.addressSpace, args.history);
  await server.start();
  const timer = setInterval(tick, TICK_MS);
  const certificate = server.getCertificate();
  const digest = (kind) => createHash(kind).update(certificate).digest("hex");
  const url = `opc.tcp://${args.host}:${port}/filler`;
  say({ listening: { host: args.host, port, url, sha1: digest("sha1"), sha256: digest("sha256") } });

  await new Promise((stop) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, stop);
    if (args["until-stdin-closes"]) process.stdin.on("data", () => {}).once("end", stop).once("close", stop);
  });
  clearInterval(timer);
  say({ served });
  await server.shutdown(0);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
