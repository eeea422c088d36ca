"""What every scenario needs: a real server, a real Redis, sockets that read events.

Nothing here sleeps for a result: `until` looks again until a condition holds or its deadline has passed.
"""

import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

BINARY = os.environ.get("PIKIOSK_BIN", "target/debug/pikiosk")
SUBPROTOCOL = "cloudevents.json"
SCENARIOS = {}


def scenario(function):
    """Registers a test; its name is what a user would see."""
    assert function.__name__ not in SCENARIOS, function.__name__
    SCENARIOS[function.__name__] = function
    return function


def until(what, look, seconds=10.0):
    """Looks until `look()` is true; returns what it returned."""
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        never.wait(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def equal(got, wanted, what=""):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


class Child:
    """A process of ours, with its log in a file; ended and reaped on the way out."""

    def __init__(self, command, log, env=None):
        self.log_path = pathlib.Path(log)
        self.command, self.env, self.process = command, env, None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)

    def alive(self):
        return self.process.poll() is None

    def end(self, with_signal=signal.SIGTERM, seconds=10):
        if self.alive():
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command[0]} did not end within {seconds} s of {with_signal!r}")

    def log(self):
        return self.log_path.read_text(errors="replace")


class Redis:
    """A real redis-server on a port of its own, nothing on disk."""

    def __init__(self, folder):
        import redis

        assert shutil.which("redis-server"), "redis-server is missing: apt install redis-server"
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.child = Child(command + ["--dir", str(folder)], pathlib.Path(folder) / "redis.log")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        self.wait()

    def wait(self):
        import redis

        def answers():
            try:
                return self.client.ping()
            except redis.exceptions.ConnectionError:
                return False

        until("Redis answers", answers)

    def kill(self):
        self.child.end(signal.SIGKILL)

    def start(self):
        self.child.start()
        self.wait()

    def calls(self, command):
        """How often Redis ran this command."""
        return self.client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def problem(self, status, *words):
        """Asserts an RFC 9457 error of this status, whose text has these words."""
        text = self.body.decode(errors="replace")
        assert self.status == status, f"got {self.status}, wanted {status}: {text}"
        equal(self.headers.get("content-type", "").split(";")[0], "application/problem+json", text)
        problem = self.json
        assert problem["title"] and problem.get("status", status) == status, text
        for word in words:
            assert word in text, f"{word!r} is not in {text}"
        return problem

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Server:
    """A real `pikiosk server`, with a folder of its own."""

    def __init__(self, toml="", redis=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pikiosk-py-"))
        self.redis = Redis(self.folder) if redis else None
        self.port = free_port()
        tickets = f'[tickets]\nredis = "{self.redis.url}"\n' if redis else ""
        self.config = self.folder / "server.toml"
        self.config.write_text(
            f'listen = "127.0.0.1:{self.port}"\ndata = "{self.folder / "data"}"\n{tickets}{toml.replace("FOLDER", str(self.folder))}'
        )
        self.origin = f"http://127.0.0.1:{self.port}"
        self.child = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(AssertionError, None, None)
            raise
        return self

    def start(self):
        if self.child is None:
            env = {name: value for name, value in os.environ.items() if not name.startswith("PIKIOSK_")}
            env["RUST_BACKTRACE"] = "1"
            command = [BINARY, "server", "--config", str(self.config)]
            self.child = Child(command, self.folder / "server.log", env)
        else:
            self.child.start()

        def ready():
            assert self.child.alive(), "the server ended at once"
            try:
                return self.request("GET", "/readyz", key=None).status == 200
            except OSError:
                return False

        until("the server is ready", ready, 20)
        self.key = (self.folder / "data" / "operator.key").read_text().strip()

    def __exit__(self, kind, _error, _trace):
        code = None
        try:
            if self.child:
                code = self.child.end()
        finally:
            if self.redis:
                self.redis.child.end(signal.SIGKILL)
            log = self.child.log() if self.child else ""
            if kind:
                print("--- the server's log, its end\n" + log[-6000:])
            shutil.rmtree(self.folder, ignore_errors=True)
        if kind is None:
            assert "panicked" not in log, "the server panicked:\n" + log[-6000:]
            assert code in (0, 143, -15), f"SIGTERM ended the server with {code}:\n{log[-3000:]}"

    def request(self, method, path, body=None, headers=None, key=True, timeout=20):
        """One HTTP request. `key`: True the operator's, None none, else that bearer."""
        headers = dict(headers or {})
        if key:
            headers["Authorization"] = f"Bearer {self.key if key is True else key}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            try:
                link.request(method, path, body, headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # an answer may come before all of the body went: a good client reads it
            return Reply(link.getresponse())
        finally:
            link.close()

    def publish(self, address, kind="org.example.note", data=None, wait=None, key=True, **attributes):
        event = event_of(kind, data, subject=address, **attributes)
        query = f"?wait={wait}" if wait else ""
        headers = {"Content-Type": "application/cloudevents+json"}
        return self.request("POST", f"/v1/events{query}", json.dumps(event), headers, key)

    def ticket(self, user):
        reply = self.request("POST", "/v1/tickets", {"user": user})
        assert reply.status in (200, 201), reply
        return reply.json["ticket"]

    def enroll(self, display):
        """A display with a key of its own, as a new card gets it."""
        return Display(self, display)

    def socket(self, bearer=None, how="header", path="/v1/ws", headers=None, subprotocols=None, **more):
        """Opens a socket; `how`: header, query (`ws_token`), token (`?token=`), subprotocol."""
        headers = dict(headers or {})
        subprotocols = list(subprotocols or [SUBPROTOCOL])
        query = {}
        if how == "header" and bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        elif how == "query":
            query["ws_token"] = bearer
        elif how == "token":
            query["token"] = bearer
        elif how == "subprotocol":
            subprotocols.append(f"bearer.{bearer}")
        url = f"ws://127.0.0.1:{self.port}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        return Socket(
            connect(url, additional_headers=headers, subprotocols=subprotocols, proxy=None, open_timeout=15, **more)
        )

    def refused(self, *args, **kwargs):
        """Asserts that no socket opens: 401 before the upgrade. Returns how long the answer took."""
        began = time.monotonic()
        try:
            opened = self.socket(*args, **kwargs)
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 401, f"{args} {kwargs}: {refusal.response}"
            return time.monotonic() - began
        opened.close()
        raise AssertionError(f"a socket opened that must not: {args} {kwargs}")

    def log(self):
        return self.child.log()


class Display:
    """What a display does to get its socket: a key, an enrollment, tickets."""

    def __init__(self, server, name):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self.server, self.name = server, name
        self.key = Ed25519PrivateKey.generate()
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        code = server.request("POST", "/v1/enrollments", {"display": name})
        assert code.status in (200, 201), code
        self.code = code.json["code"]
        enrolled = self.redeem()
        assert enrolled.status in (200, 201), enrolled
        equal(enrolled.json["display"], name)

    def redeem(self):
        body = {"code": self.code, "public_key": self.public_key, "display": self.name}
        return self.server.request("POST", "/v1/enroll", body, key=None)

    def ask_ticket(self, nonce=None, signed=None, display=None):
        """One `POST /v1/tickets` of a display; the arguments falsify it."""
        nonce = nonce or self.server.request("GET", "/v1/nonce", key=None).json["nonce"]
        text = signed or f"pikiosk-ticket-v1\n{self.server.origin}\n{self.name}\n{nonce}"
        signature = base64.urlsafe_b64encode(self.key.sign(text.encode())).rstrip(b"=").decode()
        body = {"display": display or self.name, "nonce": nonce, "signature": signature}
        return self.server.request("POST", "/v1/tickets", body, key=None)

    def ticket(self):
        reply = self.ask_ticket()
        assert reply.status in (200, 201), reply
        return reply.json["ticket"]

    def socket(self, **more):
        return self.server.socket(self.ticket(), **more)


def event_of(kind, data=None, **attributes):
    event = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "tests", "type": kind}
    event.update({name: value for name, value in attributes.items() if value is not None})
    if data is not None:
        event["data"] = data
    return event


class Socket:
    """A client of the contract: one CloudEvent per text frame."""

    def __init__(self, link):
        self.link = link
        equal(link.subprotocol, SUBPROTOCOL, "the subprotocol that the server chose")
        self.hello = self.read("kiosk.hello")["data"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.link.close()

    def raw(self, seconds=10):
        return self.link.recv(timeout=seconds)

    def read(self, kind=None, seconds=10):
        """The next event; of this type where one is named."""
        text = self.raw(seconds)
        assert isinstance(text, str), f"a binary frame: {text!r}"
        event = json.loads(text)
        equal(event["specversion"], "1.0", text)
        if kind:
            equal(event["type"], kind, text)
        return event

    def silent(self, seconds):
        """Asserts that nothing comes for this long."""
        try:
            text = self.link.recv(timeout=seconds)
        except TimeoutError:
            return
        raise AssertionError(f"nothing was to come within {seconds} s, and this came: {text}")

    def send(self, kind, data=None, **attributes):
        event = event_of(kind, data, **attributes)
        self.link.send(json.dumps(event))
        return event["id"]

    def resume(self, positions=None, **attributes):
        """Resumes; returns {address: recovered}."""
        self.send("kiosk.resume", {"positions": positions or {}}, **attributes)
        return self.read("kiosk.resumed")["data"]["recovered"]

    def receipt(self, event, status="done", **more):
        self.send("kiosk.receipt", {"event": event["id"], "source": event["source"], "status": status, "took_ms": 1, **more})

    def closed(self, seconds=10):
        """Waits for the server to close; returns the code. Events before it are passed over."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.link.recv(timeout=max(0.01, deadline - time.monotonic()))
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else 1006
        except TimeoutError:
            raise AssertionError(f"the socket was not closed within {seconds} s") from None

    @property
    def why(self):
        return self.link.close_reason or ""
