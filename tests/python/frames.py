"""Every malformed frame: a close code or the end of the connection, never a panic, and nobody else notices."""

import base64
import json
import os
import socket as tcp
import struct
import time

from kit import Server, equal, event_of, scenario, until

FRAME_MAX = 64 * 1024


class Wire:
    """A WebSocket by hand, to send what no client library would."""

    def __init__(self, server, bearer, extra=()):
        self.link = tcp.create_connection(("127.0.0.1", server.port), timeout=10)
        self.buffer = b""
        lines = [
            "GET /v1/ws HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Protocol: cloudevents.json",
            f"Authorization: Bearer {bearer}",
            *extra,
        ]
        self.link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            more = self.link.recv(65536)
            assert more, f"the handshake was cut: {self.buffer!r}"
            self.buffer += more
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.head = head.decode("latin-1")
        assert " 101 " in self.head.split("\r\n")[0], self.head

    def frame(self, opcode, payload, fin=True, rsv=0, mask=True, declared=None):
        """Sends one frame; `declared` lies about the length."""
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        length = len(payload) if declared is None else declared
        bit = 0x80 if mask else 0
        if length < 126:
            head = struct.pack("!BB", first, bit | length)
        elif length < 65536:
            head = struct.pack("!BBH", first, bit | 126, length)
        else:
            head = struct.pack("!BBQ", first, bit | 127, length)
        key = b"\x01\x02\x03\x04" if mask else b""
        body = bytes(byte ^ key[n % 4] for n, byte in enumerate(payload)) if mask else payload
        try:
            self.link.sendall(head + key + body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def ended(self, seconds=10):
        """Reads to the end; returns the close code, or None where the connection just ended."""
        deadline = time.monotonic() + seconds
        while True:
            code = self.close_code()
            if code is not None:
                return code
            self.link.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                more = self.link.recv(65536)
            except ConnectionResetError:
                return None
            except TimeoutError:
                raise AssertionError(f"the server did not end the connection within {seconds} s") from None
            if not more:
                return None
            self.buffer += more

    def close_code(self):
        while len(self.buffer) >= 2:
            opcode, length, at = self.buffer[0] & 15, self.buffer[1] & 127, 2
            if length == 126:
                if len(self.buffer) < 4:
                    return None
                length, at = struct.unpack("!H", self.buffer[2:4])[0], 4
            elif length == 127:
                if len(self.buffer) < 10:
                    return None
                length, at = struct.unpack("!Q", self.buffer[2:10])[0], 10
            if len(self.buffer) < at + length:
                return None
            payload, self.buffer = self.buffer[at : at + length], self.buffer[at + length :]
            if opcode == 8:
                return struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
        return None


def others_are_served(server, witness, number):
    equal(server.publish("user/witness", data=number).status, 202)
    equal(witness.read("org.example.note")["data"], number)


@scenario
def every_malformed_text_frame_is_closed_with_4500_and_a_reason():
    good = event_of("kiosk.resume", {"positions": {}})
    without = lambda name: {key: value for key, value in good.items() if key != name}
    frames = [
        "",
        " ",
        "{",
        "[]",
        "null",
        "7",
        '"kiosk.resume"',
        "{}",
        "\ufeff" + json.dumps(good),
        json.dumps(good) + json.dumps(good),
        json.dumps([good]),
        json.dumps({**good, "specversion": "0.3"}),
        json.dumps({**good, "specversion": 1.0}),
        json.dumps(without("specversion")),
        json.dumps(without("id")),
        json.dumps(without("source")),
        json.dumps(without("type")),
        json.dumps({**good, "id": ""}),
        json.dumps({**good, "id": 7}),
        json.dumps({**good, "id": "x" * 300}),
        json.dumps({**good, "source": "a\nb"}),
        json.dumps({**good, "type": "kiosk.hello"}),
        json.dumps({**good, "type": "kiosk.navigate", "data": {"url": "http://a/"}}),
        json.dumps({**good, "type": "org.example.note"}),
        json.dumps({**good, "subject": "nowhere"}),
        json.dumps({**good, "Upper": "x"}),
        json.dumps({**good, "nested": {"a": 1}}),
        json.dumps({**good, "time": "yesterday"}),
        json.dumps({**good, "offset": "1"}),
        json.dumps({**good, "data_base64": "AA=="}),
        '{"specversion":"1.0","id":"a","id":"b","source":"c","type":"kiosk.resume"}',
        json.dumps({**good, "data": {"positions": []}}),
        json.dumps({**good, "data": {"positions": {"nowhere": {"epoch": "e", "offset": "1"}}}}),
        json.dumps({**good, "data": {"positions": {"all": {"epoch": "e", "offset": "-1"}}}}),
        json.dumps({**good, "data": {"positions": {"all": {"epoch": "e", "offset": 1e300}}}}),
        json.dumps({**good, "type": "kiosk.publish", "data": {"id": "x"}}),
        json.dumps({**good, "type": "kiosk.publish"}),
        json.dumps({**good, "type": "kiosk.auth", "data": {"token": 7}}),
        json.dumps({**good, "type": "kiosk.call", "data": {"args": []}}),
        "[" * 60000,
        '{"a":' * 10000,
        json.dumps({**good, **{f"x{n}": "y" for n in range(200)}}),
    ]
    with Server("[limits]\nsockets_per_address = 1000\n") as server, server.socket(server.ticket("witness")) as witness:
        witness.resume()
        for number, text in enumerate(frames):
            opened = server.socket(server.ticket("ada"))
            opened.link.send(text)
            code = opened.closed()
            equal(code, 4500, f"{text[:120]!r} ({opened.why})")
            assert opened.why and len(opened.why.encode()) <= 123, f"{text[:120]!r}: the reason {opened.why!r}"
            others_are_served(server, witness, number)


@scenario
def what_only_a_display_says_is_not_allowed_to_a_user():
    with Server() as server:
        for kind, data in (
            ("kiosk.receipt", {"event": "x", "status": "shown", "took_ms": 1}),
            ("kiosk.publish", event_of("org.example.note", 1, subject="user/bob")),
        ):
            opened = server.socket(server.ticket("ada"))
            opened.resume()
            opened.send(kind, data)
            equal(opened.closed(), 4501, f"{kind}: {opened.why}")


@scenario
def a_second_resume_is_a_bad_frame():
    with Server() as server:
        opened = server.socket(server.ticket("ada"))
        opened.resume()
        opened.send("kiosk.resume", {"positions": {}})
        equal(opened.closed(), 4500, opened.why)


@scenario
def a_call_to_a_task_that_is_not_allowed_is_refused_and_the_socket_stays():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        opened.resume()
        call = opened.send("kiosk.call", {"task": "app.tasks.rm", "args": ["/"], "kwargs": {}})
        result = opened.read("kiosk.result")["data"]
        equal((result["call"], result["state"]), (call, "refused"))
        equal(server.publish("user/ada", data="still here").status, 202)
        opened.read("org.example.note")


@scenario
def a_receipt_for_a_command_never_given_settles_nothing():
    with Server() as server:
        display = server.enroll("lobby")
        other = server.enroll("hall")
        theirs = server.publish("display/hall", "kiosk.reload", {}).json
        with display.socket() as opened:
            opened.resume()
            opened.receipt({"id": "of-no-event", "source": "tests"})
            opened.receipt({"id": theirs["id"], "source": "tests"}, "failed")
            equal(server.publish("display/lobby", "kiosk.reload", {}).status, 202)
            opened.read("kiosk.reload")
        with other.socket() as opened:
            opened.resume()
            equal(opened.read("kiosk.reload")["id"], theirs["id"], "another display cannot settle it")


@scenario
def frames_that_no_client_library_sends_end_the_connection():
    text = json.dumps(event_of("kiosk.resume", {"positions": {}})).encode()
    attempts = {
        "no mask": lambda wire: wire.frame(1, text, mask=False),
        "a reserved bit": lambda wire: wire.frame(1, text, rsv=4),
        "a reserved bit, 2": lambda wire: wire.frame(1, text, rsv=1),
        "a reserved opcode": lambda wire: wire.frame(3, text),
        "a reserved control opcode": lambda wire: wire.frame(11, b""),
        "a long ping": lambda wire: wire.frame(9, b"x" * 126),
        "a ping in pieces": lambda wire: wire.frame(9, b"x", fin=False),
        "a continuation of nothing": lambda wire: wire.frame(0, text),
        "a text within a text": lambda wire: (wire.frame(1, text[:9], fin=False), wire.frame(1, text)),
        "not UTF-8": lambda wire: wire.frame(1, b'{"specversion":"1.0\xff"}'),
        "half a surrogate": lambda wire: wire.frame(1, b"\xed\xa0\x80"),
        "binary": lambda wire: wire.frame(2, text),
        "close of one byte": lambda wire: wire.frame(8, b"\x03"),
        "close with a bad code": lambda wire: wire.frame(8, struct.pack("!H", 999)),
        "close that is not UTF-8": lambda wire: wire.frame(8, struct.pack("!H", 1000) + b"\xff\xfe"),
        "not a frame": lambda wire: wire.link.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100),
    }
    with Server() as server, server.socket(server.ticket("witness")) as witness:
        witness.resume()
        for number, (what, attempt) in enumerate(attempts.items()):
            wire = Wire(server, server.ticket("ada"))
            attempt(wire)
            code = wire.ended()
            assert code in (None, 1000, 1002, 1003, 1005, 1007, 4500), f"{what}: {code}"
            if what == "binary":
                equal(code, 4500, what)
            others_are_served(server, witness, number)


@scenario
def a_frame_that_is_too_long_is_refused_from_its_declared_length():
    with Server() as server, server.socket(server.ticket("witness")) as witness:
        witness.resume()
        for number, declared in enumerate((FRAME_MAX + 1, 1 << 24, 1 << 40, (1 << 63) - 1)):
            wire = Wire(server, server.ticket("ada"))
            began = time.monotonic()
            wire.frame(1, b"", declared=declared)  # the length alone; no byte of the payload follows
            code = wire.ended(5)
            assert code in (4500, 1009), f"{declared}: {code}"
            assert time.monotonic() - began < 2, f"{declared}: refused only after {time.monotonic() - began} s"
            others_are_served(server, witness, number)
        # In pieces that are small each, the message is too long all the same.
        wire = Wire(server, server.ticket("ada"))
        wire.frame(1, b"x" * 30000, fin=False)
        for _ in range(3):
            wire.frame(0, b"x" * 30000, fin=False)
        assert wire.ended() in (4500, 1009, None)
        others_are_served(server, witness, "after pieces")


@scenario
def a_frame_of_exactly_the_limit_is_read():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        event = event_of("kiosk.resume", {"positions": {}})
        room = FRAME_MAX - len(json.dumps({**event, "data": {"positions": {}, "padding": ""}}).encode())
        assert room > 0
        text = json.dumps({**event, "data": {"positions": {}, "padding": "x" * room}})
        equal(len(text.encode()), FRAME_MAX)
        opened.link.send(text)
        opened.read("kiosk.resumed")


@scenario
def pieces_and_pings_between_them_are_one_event():
    with Server() as server:
        wire = Wire(server, server.ticket("ada"), ["Sec-WebSocket-Extensions: permessage-deflate"])
        assert "permessage-deflate" not in wire.head, "no compression: a small frame must not become a large one"
        text = json.dumps(event_of("kiosk.resume", {"positions": {}})).encode()
        wire.frame(1, text[:1], fin=False)
        for at in range(1, len(text) - 1):
            wire.frame(9, b"ping")
            wire.frame(0, text[at : at + 1], fin=False)
        wire.frame(0, text[-1:])
        deadline = time.monotonic() + 10
        while b"kiosk.resumed" not in wire.buffer:
            assert time.monotonic() < deadline, wire.buffer
            wire.buffer += wire.link.recv(65536)


@scenario
def a_client_that_does_not_read_is_closed_and_can_resume_without_loss():
    with Server("[limits]\nsocket_queue = 8\nsockets_per_address = 1000\n") as server:
        before = server.socket(server.ticket("ada"))
        start = before.hello["positions"]["user/ada"]
        before.close()
        wire = Wire(server, server.ticket("ada"))
        wire.frame(1, json.dumps(event_of("kiosk.resume", {"positions": {}})).encode())
        text = "x" * 30000
        for number in range(400):
            equal(server.publish("user/ada", data={"n": number, "text": text}).status, 202)
        until("the server gave it up", lambda: server.request("GET", "/v1/presence").json["sockets"] == [])
        code = wire.ended(20)
        assert code in (4001, None), code
        with server.socket(server.ticket("ada")) as back:
            equal(back.resume({"user/ada": start}), {"user/ada": True})
            numbers = [back.read("org.example.note")["data"]["n"] for _ in range(400)]
            equal(numbers, list(range(400)), "what the slow client missed")
