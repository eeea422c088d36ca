"""The WebSocket as a client in another language meets it: opening, resuming, closing."""

import base64
import os
import signal
import socket as tcp
import time

import jwt

from kit import Server, equal, scenario, until

SECRET = b"0123456789abcdef0123456789abcdef-and-more"


def jwt_server(more="", secret=SECRET):
    server = Server(
        f'[auth]\n{more}\n[[auth.jwt]]\nid = "main"\nalgorithm = "HS256"\nsecret_file = "FOLDER/jwt.secret"\n'
    )
    (server.folder / "jwt.secret").write_bytes(secret + b"\n")
    return server


def token(sub="ada", seconds=60, **claims):
    return jwt.encode({"sub": sub, "exp": int(time.time()) + seconds, **claims}, SECRET, "HS256")


@scenario
def every_way_to_show_a_credential_opens_a_socket():
    with jwt_server() as server:
        for path in ("/v1/ws", "/wsb"):
            for how, credential in (
                ("header", server.ticket("ada")),
                ("header", token()),
                ("query", server.ticket("ada")),
                ("token", token()),
                ("subprotocol", server.ticket("ada")),
                ("subprotocol", token()),
            ):
                with server.socket(credential, how, path) as opened:
                    equal(opened.hello["addresses"], ["user/ada"], f"{how} {path}")
                    assert opened.hello["session"] and opened.hello["heartbeat_s"] > 0, opened.hello
                    equal(list(opened.hello["positions"]), ["user/ada"])
                    published = server.publish("user/ada", data={"way": how})
                    equal(published.status, 202)
                    opened.resume()
                    event = opened.read("org.example.note")
                    equal(event["data"], {"way": how})
                    equal((event["epoch"], event["offset"]), (published.json["epoch"], published.json["offset"]))
        assert server.ticket("ada") not in server.log()


@scenario
def no_credential_two_credentials_or_one_in_the_wrong_place_open_nothing():
    with jwt_server() as server:
        server.refused()
        server.refused(path="/wsb")
        server.refused("", "header")
        server.refused(token(), "query")
        server.refused(server.ticket("ada"), "token")
        server.refused("wstoken" + "0" * 32)
        for second in (
            {"path": "/v1/ws?token=" + token()},
            {"path": "/v1/ws?ws_token=" + server.ticket("ada")},
            {"subprotocols": ["cloudevents.json", "bearer." + token()]},
        ):
            server.refused(server.ticket("ada"), "header", **second)
        server.refused(path=f"/v1/ws?ws_token={server.ticket('ada')}&ws_token={server.ticket('ada')}")
        for odd in ("Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "bearer\t" + token(), token(), "Bearer ünï"):
            server.refused(headers={"Authorization": odd.encode("utf-8").decode("latin-1")})
        with server.socket(token()) as opened:
            equal(opened.hello["addresses"], ["user/ada"])


@scenario
def a_ticket_opens_exactly_one_socket():
    with Server() as server:
        ticket = server.ticket("ada")
        server.socket(ticket).close()
        for how in ("header", "query", "subprotocol"):
            server.refused(ticket, how)


@scenario
def nobody_learns_why_a_credential_was_refused():
    with jwt_server() as server:
        used = server.ticket("ada")
        server.socket(used).close()
        answers = set()
        for bearer in ("wstoken" + "f" * 32, used, "nonsense", token(seconds=-1000), token()[:-3] + "AAA"):
            reply = server.request(
                "GET",
                "/v1/ws",
                key=bearer,
                headers={
                    "Connection": "Upgrade",
                    "Upgrade": "websocket",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                    "Sec-WebSocket-Protocol": "cloudevents.json",
                },
            )
            reply.problem(401)
            answers.add(reply.body)
        equal(len(answers), 1, f"the answers differ: {answers}")


@scenario
def nothing_comes_before_the_first_frame_and_after_two_seconds_it_does():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        began = time.monotonic()
        equal(server.publish("user/ada", data=1).status, 202)
        opened.silent(1.0)
        equal(opened.read("org.example.note", seconds=5)["data"], 1)
        assert time.monotonic() - began < 3, "the server waits at most 2 s for kiosk.resume"


@scenario
def a_client_that_comes_back_gets_what_it_missed_in_order_and_then_live():
    with Server() as server:
        with server.socket(server.ticket("ada")) as first:
            first.resume()
            position = first.hello["positions"]["user/ada"]
            equal(server.publish("user/ada", data=0).status, 202)
            event = first.read("org.example.note")
            position = {"epoch": event["epoch"], "offset": event["offset"]}
        for number in range(1, 51):
            equal(server.publish("user/ada", data=number).status, 202)
        with server.socket(server.ticket("ada")) as second:
            equal(second.hello["positions"]["user/ada"]["epoch"], position["epoch"])
            equal(second.resume({"user/ada": position}), {"user/ada": True})
            equal(server.publish("user/ada", data=51).status, 202)
            events = [second.read("org.example.note") for _ in range(51)]
            equal([event["data"] for event in events], list(range(1, 52)))
            start = int(position["offset"])
            equal([event["offset"] for event in events], [str(start + n) for n in range(1, 52)])
            second.silent(0.3)
        with server.socket(server.ticket("ada")) as third:
            equal(third.resume(), {})
            third.silent(0.3)


@scenario
def a_position_of_a_lost_history_is_said_to_be_lost():
    with Server() as server:
        equal(server.publish("user/ada", data=0).status, 202)
        with server.socket(server.ticket("ada")) as opened:
            recovered = opened.resume({"user/ada": {"epoch": "of-another-life", "offset": "1"}})
            equal(recovered, {"user/ada": False})
        with server.socket(server.ticket("ada")) as opened:
            ahead = {**opened.hello["positions"]["user/ada"], "offset": "18446744073709551615"}
            equal(opened.resume({"user/ada": ahead}), {"user/ada": False}, "a position that does not exist yet")


@scenario
def positions_survive_kill_9_of_the_server():
    with Server() as server:
        published = [server.publish("user/ada", data=n).json for n in range(20)]
        server.child.end(signal.SIGKILL)
        server.start()
        with server.socket(server.ticket("ada")) as opened:
            middle = {"epoch": published[9]["epoch"], "offset": published[9]["offset"]}
            equal(opened.resume({"user/ada": middle}), {"user/ada": True})
            equal([opened.read("org.example.note")["data"] for _ in range(10)], list(range(10, 20)))


@scenario
def a_display_is_given_its_state_and_its_waiting_actions_once():
    with Server() as server:
        display = server.enroll("lobby")
        for number in range(3):
            url = f"http://example.org/{number}"
            equal(server.publish("display/lobby", "kiosk.navigate", {"url": url}).status, 202)
        equal(server.publish("all", "kiosk.zoom", {"percent": 125}).status, 202)
        waiting = server.publish("display/lobby", "kiosk.message", {"text": "hi"}).json["id"]
        with display.socket() as opened:
            assert set(opened.hello["addresses"]) == {"display/lobby", "all"}, opened.hello
            opened.resume()
            events = [opened.read() for _ in range(3)]
            equal([event["type"] for event in events], ["kiosk.navigate", "kiosk.zoom", "kiosk.message"])
            equal(events[0]["data"]["url"], "http://example.org/2")
            assert events[2]["expirytime"], "an action says when it is too late"
            for event, status in zip(events, ("shown", "done", "shown")):
                opened.receipt(event, status)
            opened.silent(0.3)
            record = until("the receipt is kept", lambda: settled(server, waiting))
            assert "shown" in record, record
        with display.socket() as again:
            again.resume()
            equal([again.read()["type"] for _ in range(2)], ["kiosk.navigate", "kiosk.zoom"])
            again.silent(0.5)


def settled(server, event):
    reply = server.request("GET", f"/v1/events/{event}")
    equal(reply.status, 200, reply)
    text = reply.body.decode()
    return text if '"shown"' in text else None


@scenario
def a_newer_socket_of_a_display_replaces_the_older():
    with Server() as server:
        display = server.enroll("lobby")
        older = display.socket()
        with display.socket() as newer:
            equal(older.closed(), 4003, older.why)
            newer.resume()
            equal(server.publish("display/lobby", "kiosk.reload", {}).status, 202)
            newer.read("kiosk.reload")


@scenario
def a_removed_display_is_told_to_stay_away():
    with Server() as server:
        display = server.enroll("lobby")
        with display.socket() as opened:
            assert server.request("DELETE", "/v1/displays/lobby").status in (200, 204)
            equal(opened.closed(), 4502, opened.why)
        reply = display.ask_ticket()
        assert reply.status in (401, 403, 404), reply
        server.publish("display/lobby", "kiosk.reload", {}).problem(404)


@scenario
def a_server_that_goes_away_says_come_back():
    with Server() as server:
        opened = server.socket(server.ticket("ada"))
        opened.resume()
        server.child.process.send_signal(signal.SIGTERM)
        equal(opened.closed(), 4000, opened.why)
        until("the server ended", lambda: not server.child.alive())


@scenario
def a_socket_ends_with_its_token_and_a_fresh_token_keeps_it_open():
    with jwt_server() as server:
        # The leeway is 30 s: a token that ended 25 s ago is let in, for 5 s.
        short = token(seconds=-25)
        kept, left = server.socket(short), server.socket(short)
        kept.resume()
        kept.send("kiosk.auth", {"token": token(seconds=600)})
        equal(left.closed(15), 4002, left.why)
        equal(server.publish("user/ada", data="still here").status, 202)
        equal(kept.read("org.example.note")["data"], "still here")
        kept.send("kiosk.auth", {"token": token("bob", 600)})
        assert kept.closed() in (4501, 4002), "a fresh token of somebody else is refused"


@scenario
def a_bad_fresh_token_ends_the_socket():
    with jwt_server() as server:
        for bad in (token(seconds=-100), "nonsense", token("eve", 600), token()[:-4] + "AAAA"):
            opened = server.socket(token())
            opened.resume()
            opened.send("kiosk.auth", {"token": bad})
            assert 4500 <= opened.closed() <= 4501 or opened.closed() == 4002, bad


@scenario
def with_per_message_every_frame_carries_a_token():
    with jwt_server("per_message = true") as server:
        with server.socket(token(pub=["user/bob"])) as opened:
            opened.resume(token=token(pub=["user/bob"]))
            inner = {"specversion": "1.0", "id": "one", "source": "ada", "type": "org.example.note", "subject": "user/bob"}
            with server.socket(token("bob")) as bob:
                bob.resume(token=token("bob"))
                opened.send("kiosk.publish", inner, token=token(pub=["user/bob"]))
                event = bob.read("org.example.note")
                equal(event["id"], "one")
                assert "token" not in event, "a token goes to the server and no further"
        for bad in (None, "nonsense", token(seconds=-100), token("eve")):
            opened = server.socket(token())
            opened.send("kiosk.resume", {"positions": {}}, token=bad)
            code = opened.closed()
            assert code in (4002, 4500, 4501), f"{bad}: {code} {opened.why}"


@scenario
def a_token_says_what_its_socket_may_hear_and_say():
    with jwt_server() as server:
        server.enroll("lobby")
        with server.socket(token(addr=["group/floor-1", "user/ada"])) as opened:
            equal(sorted(opened.hello["addresses"]), ["group/floor-1", "user/ada"])
        granted = {"pub": ["user/bob", "display/lobby"], "cmd": ["reload"]}

        def send(kind, address, claims, data=None):
            opened = server.socket(token(**claims))
            opened.resume()
            inner = {"specversion": "1.0", "id": os.urandom(8).hex(), "source": "ada", "type": kind, "subject": address}
            if data is not None:
                inner["data"] = data
            opened.send("kiosk.publish", inner)
            return opened, inner["id"]

        for kind, address, data in (("org.example.note", "user/bob", 1), ("kiosk.reload", "display/lobby", {})):
            opened, event = send(kind, address, granted, data)
            until("it is published", lambda: server.request("GET", f"/v1/events/{event}").status == 200)
            opened.close()
        for kind, address, claims, data in (
            ("org.example.note", "user/eve", granted, 1),
            ("kiosk.identify", "display/lobby", granted, {}),
            ("kiosk.reload", "display/lobby", {"pub": ["display/lobby"]}, {}),
            ("kiosk.reload", "display/lobby", {"cmd": ["reload"]}, {}),
            ("kiosk.reload", "all", granted, {}),
            ("org.example.note", "user/bob", {}, 1),
        ):
            opened, event = send(kind, address, claims, data)
            equal(opened.closed(), 4501, f"{kind} {address} {opened.why}")
            equal(server.request("GET", f"/v1/events/{event}").status, 404)
        # A user's ticket may say nothing.
        opened = server.socket(server.ticket("ada"))
        opened.send("kiosk.publish", {"specversion": "1.0", "id": "x", "source": "a", "type": "t", "subject": "user/bob"})
        equal(opened.closed(), 4501)


@scenario
def only_pages_of_allowed_origins_open_a_socket():
    with jwt_server('origins = ["https://app.example.org"]') as server:
        server.socket(token(), headers={"Origin": "https://app.example.org"}).close()
        server.socket(token()).close()
        for evil in ("https://evil.example", "null", "https://app.example.org.evil.example", "http://app.example.org"):
            try:
                server.socket(token(), headers={"Origin": evil}).close()
            except Exception as refusal:
                assert getattr(getattr(refusal, "response", None), "status_code", 0) in (401, 403), refusal
            else:
                raise AssertionError(f"{evil} opened a socket")


@scenario
def a_half_open_handshake_is_dropped_after_its_time():
    with Server("[limits]\nhandshake_seconds = 1\n") as server:
        links = []
        for text in (b"", b"GET /v1/ws HTTP/1.1\r\nHost: a\r\n", b"GET / HT"):
            link = tcp.create_connection(("127.0.0.1", server.port), timeout=10)
            link.sendall(text)
            links.append(link)
        began = time.monotonic()
        for link in links:
            try:
                while link.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        assert time.monotonic() - began < 8, "a handshake has its deadline"


@scenario
def the_same_enrollment_code_and_key_get_the_same_answer_and_another_key_none():
    with Server() as server:
        display = server.enroll("lobby")
        again = display.redeem()
        assert again.status in (200, 201) and again.json["display"] == "lobby", again
        other = server.enroll("hall")
        reply = server.request(
            "POST", "/v1/enroll", {"code": display.code, "public_key": other.public_key, "display": "lobby"}, key=None
        )
        reply.problem(reply.status)
        assert reply.status in (401, 403, 409), reply
        free = server.request("POST", "/v1/enrollments", {}).json["code"]
        taken = {"code": free, "public_key": other.public_key, "display": "lobby"}
        server.request("POST", "/v1/enroll", taken, key=None).problem(409)


@scenario
def a_display_proves_its_key_for_every_ticket():
    with Server() as server:
        lobby, hall = server.enroll("lobby"), server.enroll("hall")
        nonce = server.request("GET", "/v1/nonce", key=None).json["nonce"]
        assert lobby.ask_ticket(nonce).status in (200, 201)
        for what, reply in (
            ("a nonce used twice", lobby.ask_ticket(nonce)),
            ("a nonce of nobody", lobby.ask_ticket("0" * 32)),
            ("another display's name", lobby.ask_ticket(display="hall")),
            ("no such display", lobby.ask_ticket(display="attic")),
            ("another text signed", lobby.ask_ticket(signed="pikiosk-ticket-v1")),
            ("another server's origin", other_origin(server, hall)),
        ):
            assert reply.status in (400, 401, 403, 404), f"{what}: {reply}"
            reply.problem(reply.status)


def other_origin(server, display):
    nonce = server.request("GET", "/v1/nonce", key=None).json["nonce"]
    return display.ask_ticket(nonce, f"pikiosk-ticket-v1\nhttps://evil.example\n{display.name}\n{nonce}")
