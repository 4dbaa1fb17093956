#!/usr/bin/env python3
"""Asks `lapwing serve` what its OpenAPI document allows, and what it does not, as each role and as nobody.

    benches/schemathesis.py [--lapwing target/release/lapwing] [--examples 15] [--seed 4] [--roles nobody,viewer,analyst,admin]

Installs schemathesis below the target folder (python3 with venv, and PyPI; says so and skips where that cannot be had), starts a server that has
watched corpus/first-look/suspicious.pcap, and lets schemathesis make up requests. Fails on any status of 500 and above, any
status, media type, header or body that the document does not describe, and, as nobody, on any answer but 401 from an operation
that is not open to everybody. Everybody has an API token, so that nobody can log anybody out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

VERSION = "4.32.5"
PASSWORD = "correct horse battery"
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance")
ROLES = ("nobody", "viewer", "analyst", "admin")
# A server is started for each role, and each is asked for at most so long.
SECONDS = 25
REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def installed():
    """The program, installed below the target folder if it is not there; `None` if it cannot be had."""
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(REPOSITORY, "target"))
    folder = os.path.join(target, "ci", f"schemathesis-{VERSION}")
    program = os.path.join(folder, "bin", "schemathesis")
    if not os.path.exists(program):
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=False)
        if made.returncode == 0:
            pip = [os.path.join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, f"schemathesis=={VERSION}"], check=False)
    return program if os.path.exists(program) else None


class Server:
    """A server with one account of each role."""

    def __init__(self, lapwing, folder):
        capture = os.path.join(REPOSITORY, "corpus/first-look/suspicious.pcap")
        self.process = subprocess.Popen(
            [lapwing, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder, "--replay", capture, "--speed", "max"],
            stderr=subprocess.PIPE, text=True)
        self.url = code = None
        while code is None:
            line = self.process.stderr.readline()
            if not line:
                sys.exit("the server did not start")
            if "serving http://" in line:
                self.url = "http://" + line.split("serving http://")[1].split()[0]
            if "setup?code=" in line:
                code = line.split("setup?code=")[1].strip()
        made = self.ask("POST", "/auth/setup", {"code": code, "username": "admin", "password": PASSWORD})
        sessions = {"admin": made["token"]}
        for role in ("viewer", "analyst"):
            self.ask("POST", "/api/v1/accounts", {"username": role, "password": PASSWORD, "role": role}, sessions["admin"])
            sessions[role] = self.ask("POST", "/auth/login", {"username": role, "password": PASSWORD})["token"]
        token = {role: {"name": "schemathesis", "role": role} for role in sessions}
        self.tokens = {role: self.ask("POST", "/api/v1/tokens", token[role], session)["token"]
                       for role, session in sessions.items()}
        while self.ask("GET", "/api/v1/sources", None, sessions["admin"])["current"]["state"] != "ended":
            time.sleep(0.1)

    def ask(self, method, path, body, token=None):
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def end(self):
        self.process.terminate()
        self.process.wait()


def as_nobody(document):
    """The document for somebody without a token: all that is not open answers 401 and nothing else."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if operation["security"]:
                operation["responses"] = {"401": operation["responses"]["401"]}
    return document


def look(program, options, role):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options.lapwing, os.path.join(folder, "data"))
        try:
            document = server.ask("GET", "/openapi.json", None, server.tokens["admin"])
            if role == "nobody":
                document = as_nobody(document)
            path = os.path.join(folder, "openapi.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(document, file)
            command = [program, "run", path, "--url", server.url, "--checks", CHECKS, "--no-color",
                       "--phases", "examples,coverage,fuzzing", "--max-examples", str(options.examples),
                       "--seed", str(options.seed), "--max-time", str(SECONDS), "--request-timeout", "35",
                       "--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure",
                       "--no-shrink", "--warnings", "off"]
            if role == "nobody":
                command += ["--generation-with-security-parameters", "false"]
            else:
                command += ["-H", f"Authorization: Bearer {server.tokens[role]}"]
            print(f"== as {role}", flush=True)
            status = subprocess.run(command, check=False, cwd=folder).returncode
            with open(f"/proc/{server.process.pid}/status", encoding="utf-8") as lines:
                memory = next(line for line in lines if line.startswith("VmHWM"))
            print("the server's", " ".join(memory.split()))
            return status == 0 and server.process.poll() is None
        finally:
            server.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lapwing", default=os.path.join(REPOSITORY, "target/release/lapwing"))
    parser.add_argument("--examples", type=int, default=15)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--roles", default=",".join(ROLES))
    options = parser.parse_args()
    program = installed()
    if program is None:
        print("skipped: schemathesis cannot be installed here")
        return
    refused = [role for role in options.roles.split(",") if not look(program, options, role)]
    if refused:
        sys.exit(f"not as the document says, as: {', '.join(refused)}")


if __name__ == "__main__":
    main()
