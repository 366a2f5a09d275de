"""Prints what is built into a gateway's program, as CycloneDX 1.5: each crate with its version, licence and checksum.

    cross/sbom.py <target> <version> <program>

The list is cargo's own for that target and the standard set, without what only builds or tests; checksums are those of
Cargo.lock. The same tree gives the same bytes.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from datetime import datetime, timezone
from uuid import UUID

FEATURES = "standard"


def crates(target):
    """Name, version and licence of every crate that is linked."""
    command = ["cargo", "tree", "--locked", "--package", "agent", "--target", target, "--no-default-features"]
    command += ["--features", FEATURES, "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"]
    command += ["--format", "{p}|{l}"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = set()
    for line in filter(None, listed.splitlines()):
        package, licence = line.split("|", 1)
        words = package.split()
        found.add((words[0], words[1].removeprefix("v"), licence, len(words) == 2))
    return sorted(found)


def checksums():
    """SHA-256 of each crate's archive, by name and version."""
    with open("Cargo.lock", "rb") as lock:
        packages = tomllib.load(lock)["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def component(name, version, licence, foreign, known):
    entry = {"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version}
    if licence:
        entry["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    if foreign:
        entry["purl"] = f"pkg:cargo/{name}@{version}"
        entry["hashes"] = [{"alg": "SHA-256", "content": known[(name, version)]}]
    return entry


def main():
    target, version, program = sys.argv[1:]
    with open(program, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    known = checksums()
    components = [component(*crate, known) for crate in crates(target)]
    moment = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{UUID(digest[:32])}",
        "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": "inuse-agent",
                "name": "inuse-agent",
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "properties": [{"name": "target", "value": target}, {"name": "features", "value": FEATURES}],
            },
        },
        "components": [entry for entry in components if entry["name"] != "agent"],
    }
    json.dump(bom, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
