"""Publishing with the CloudEvents SDK, and every way to get it wrong."""

import json
import threading

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from kit import Server, equal, event_of, scenario
from sockets import jwt_server, token


def sdk_event(address, data, **attributes):
    return CloudEvent({"type": "org.example.note", "source": "/sdk", "subject": address, **attributes}, data)


def send(server, message, query=""):
    return server.request("POST", f"/v1/events{query}", message.body, message.headers)


def batch(server, events, query=""):
    body = json.dumps(events)
    return server.request("POST", f"/v1/events{query}", body, {"Content-Type": "application/cloudevents-batch+json"})


@scenario
def the_cloudevents_sdk_publishes_structured_and_binary_and_reads_what_comes():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        opened.resume()
        offsets = []
        for mode in (to_structured_event, to_binary_event):
            for data, kind in (
                ({"temperature": 21.5, "where": "Zürich ☃"}, "application/json"),
                ("plain words, ünï", "text/plain"),
                (bytes(range(256)), "application/octet-stream"),
                (None, None),
            ):
                attributes = {"datacontenttype": kind} if kind else {}
                event = sdk_event("user/ada", data, priority="hïgh", **attributes)
                reply = send(server, mode(event))
                equal(reply.status, 202, f"{mode.__name__} {kind}: {reply}")
                equal(reply.json["id"], event.get_id())
                equal(reply.json["address"], "user/ada")
                offsets.append(int(reply.json["offset"]))
                came = JSONFormat().read(None, opened.raw().encode())
                for name in ("get_id", "get_source", "get_type", "get_subject", "get_time"):
                    equal(getattr(came, name)(), getattr(event, name)(), name)
                equal(came.get_data(), data, f"{mode.__name__} {kind}")
                equal(came.get_extension("priority"), "hïgh")
                equal(came.get_extension("offset"), reply.json["offset"])
                assert isinstance(reply.json["offset"], str)
        equal(offsets, list(range(offsets[0], offsets[0] + 8)))


@scenario
def binary_mode_without_a_content_type_is_json():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        opened.resume()
        headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-subject": "user/ada"}
        equal(server.request("POST", "/v1/events", '{"a":[1,2]}', headers).status, 202)
        equal(opened.read("t")["data"], {"a": [1, 2]})
        equal(server.request("POST", "/v1/events", "{", {**headers, "ce-id": "2"}).status, 400)


@scenario
def a_batch_is_answered_in_order_and_published_whole_or_not_at_all():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        opened.resume()
        events = [event_of("t", n, subject=f"user/{'ada' if n % 2 else 'bob'}") for n in range(10)]
        reply = batch(server, events)
        equal(reply.status, 202, reply)
        equal([one["id"] for one in reply.json], [event["id"] for event in events])
        equal([opened.read("t")["data"] for _ in range(5)], [1, 3, 5, 7, 9])
        for bad, status in (
            (event_of("kiosk.fly", {}, subject="user/ada"), 422),
            (event_of("kiosk.navigate", {"url": "javascript:1"}, subject="user/ada"), 422),
            (event_of("kiosk.reload", {}, subject="display/attic"), 404),
            (event_of("t", 1), 400),
            ({"id": "x"}, 400),
        ):
            fresh = [event_of("t", n, subject="user/ada") for n in range(5)]
            reply = batch(server, fresh[:3] + [bad] + fresh[3:])
            assert reply.status in (status, 422), f"{bad}: {reply}"
            reply.problem(reply.status)
            assert reply.json.get("index") == 3 or "attic" in reply.body.decode(), f"which of the batch was bad: {reply}"
            for event in fresh:
                server.request("GET", f"/v1/events/{event['id']}").problem(404)
        opened.silent(0.3)
        equal(batch(server, []).status in (202, 400), True)
        reply = batch(server, [event_of("t", n, subject="user/ada") for n in range(1001)])
        assert reply.status in (400, 413, 422), reply
        reply.problem(reply.status)


@scenario
def a_repeat_whatever_its_mode_or_body_gets_the_first_position():
    with Server() as server, server.socket(server.ticket("ada")) as opened:
        opened.resume()
        for _ in range(3):
            equal(server.publish("user/ada", "another").status, 202)
            opened.read("another")
        event = sdk_event("user/ada", {"n": 1})
        first = send(server, to_structured_event(event))
        opened.read("org.example.note")
        attributes = event.get_attributes()
        other_body = CloudEvent({**attributes}, {"n": 2})
        other_address = CloudEvent({**attributes, "subject": "user/bob"}, {"n": 3})
        for again in (
            send(server, to_structured_event(event)),
            send(server, to_binary_event(event)),
            send(server, to_binary_event(other_body)),
            send(server, to_structured_event(other_address)),
        ):
            equal(again.status, 202)
            equal((again.json["epoch"], again.json["offset"]), (first.json["epoch"], first.json["offset"]))
        in_batch = batch(server, [json.loads(to_structured_event(event).body)] * 2)
        equal(in_batch.status, 202, in_batch)
        equal({one["offset"] for one in in_batch.json}, {first.json["offset"]})
        other_source = CloudEvent({**attributes, "source": "/another"}, {"n": 4})
        assert send(server, to_structured_event(other_source)).json["offset"] != first.json["offset"]
        equal(opened.read("org.example.note")["data"], {"n": 4})
        opened.silent(0.3)
        server.child.end(9)
        server.start()
        after = send(server, to_structured_event(event))
        equal((after.json["epoch"], after.json["offset"]), (first.json["epoch"], first.json["offset"]), "after kill -9")


@scenario
def the_same_event_published_by_many_at_once_is_one_event():
    with Server() as server:
        event = event_of("t", 1, subject="user/ada")
        answers, gate = [], threading.Barrier(16)

        def publish():
            gate.wait()
            reply = server.request("POST", "/v1/events", event, {"Content-Type": "application/cloudevents+json"})
            answers.append((reply.status, reply.json["offset"]))

        threads = [threading.Thread(target=publish) for _ in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        equal(len(answers), 16)
        equal(len(set(answers)), 1, f"{answers}")


@scenario
def a_wait_ends_with_the_receipt_and_carries_it():
    with Server() as server:
        display = server.enroll("lobby")
        with display.socket() as opened:
            opened.resume()

            def act():
                command = opened.read("kiosk.navigate")
                opened.receipt(command, "shown", frame_sha256="ab" * 32)

            actor = threading.Thread(target=act)
            actor.start()
            reply = server.publish("display/lobby", "kiosk.navigate", {"url": "http://a/"}, wait="10s")
            actor.join()
            equal(reply.status, 200, reply)
            assert "shown" in reply.body.decode() and "ab" * 32 in reply.body.decode(), reply
            late = server.publish("display/lobby", "kiosk.reload", {}, wait="1s")
            equal(late.status, 200, late)
            assert "shown" not in late.body.decode(), late
        for bad in ("soon", "-1s", "99999h", ""):
            query = f"?wait={bad}"
            event = event_of("kiosk.reload", {}, subject="display/lobby")
            reply = server.request("POST", f"/v1/events{query}", event, {"Content-Type": "application/cloudevents+json"})
            reply.problem(400)


@scenario
def only_the_first_final_receipt_counts():
    with Server() as server:
        display = server.enroll("lobby")
        with display.socket() as opened:
            opened.resume()
            server.publish("display/lobby", "kiosk.reload", {})
            command = opened.read("kiosk.reload")
            opened.receipt(command, "shown")
            opened.receipt(command, "failed", error="too late")
            opened.receipt(command, "shown", frame_sha256="cd" * 32)
            equal(server.publish("display/lobby", "kiosk.identify", {}).status, 202)
            opened.receipt(opened.read("kiosk.identify"), "done")
        record = server.request("GET", f"/v1/events/{command['id']}").body.decode()
        assert "failed" not in record and "cd" * 32 in record, record


@scenario
def every_bad_request_is_a_problem_in_words():
    good = event_of("t", 1, subject="user/ada")
    structured = "application/cloudevents+json"
    with jwt_server() as server:
        server.enroll("lobby")
        post = lambda body, kind=structured, **more: server.request("POST", "/v1/events", body, {"Content-Type": kind}, **more)
        without = lambda name: json.dumps({key: value for key, value in good.items() if key != name})
        post(json.dumps(good), key=None).problem(401)
        post(json.dumps(good), key="wrong").problem(401)
        post(json.dumps(good), key=token()).problem(403)
        for body in ("", "{", "[]", "null", "{}", without("id"), without("source"), without("type"), without("specversion"), b"\xff\xfe"):
            reply = post(body)
            assert reply.status in (400, 422), f"{body!r}: {reply}"
            reply.problem(reply.status)
        reply = post(without("subject"))
        assert reply.status in (400, 422), reply
        reply.problem(reply.status, "subject")
        post(json.dumps(good), "application/xml").problem(reply_in(post(json.dumps(good), "application/xml"), 400, 415))
        for kind, data, words in (
            ("kiosk.navigat", {"url": "http://a/"}, ["navigate"]),
            ("kiosk.navigate", {}, ["url"]),
            ("kiosk.navigate", {"url": "file:///etc/passwd"}, ["http"]),
            ("kiosk.navigate", {"url": "http://a/", "sped": 1}, ["sped"]),
            ("kiosk.message", {"text": "x" * 2001}, ["2000"]),
            ("kiosk.message", None, ["text"]),
            ("kiosk.hello", {}, ["hello"]),
            ("kiosk.receipt", {"event": "x", "status": "shown"}, ["receipt"]),
        ):
            server.publish("display/lobby", kind, data).problem(422, *words)
        server.publish("display/attic", "kiosk.reload", {}).problem(404, "attic")
        server.publish("nowhere", "t").problem(reply_in(server.publish("nowhere", "t"), 400, 422), "nowhere")
        post(json.dumps({**good, "data": "x" * (2 << 20)})).problem(413)
        for method, path, status in (
            ("GET", "/v1/nothing", 404),
            ("GET", "/nothing", 404),
            ("PUT", "/v1/events", 405),
            ("DELETE", "/healthz", 405),
            ("GET", "/v1/events/of-no-event", 404),
            ("GET", "/v1/displays/attic", 404),
            ("PATCH", "/v1/displays/attic", (400, 404)),
            ("DELETE", "/v1/displays/attic", 404),
            ("GET", "/v1/displays/attic/screenshot", 404),
            ("GET", "/v1/displays/lobby/screenshot", 404),
            ("GET", "/v1/displays/..%2f..%2fetc", (400, 404)),
        ):
            reply = server.request(method, path)
            statuses = status if isinstance(status, tuple) else (status,)
            assert reply.status in statuses, f"{method} {path}: {reply}"
            reply.problem(reply.status)
        for path in ("/v1/displays", "/v1/displays/lobby", "/v1/presence", "/v1/events/x", "/v1/displays/lobby/screenshot"):
            server.request("GET", path, key=None).problem(401)
            server.request("GET", path, key=token()).problem(403)
        for path in ("/v1/enrollments", "/v1/tickets"):
            server.request("POST", path, {"user": "x"}, key=token()).problem(403)
        for body in ("", "{", "[]", {}, {"user": ""}, {"user": 7}, {"user": "a", "extra": 1}, {"user": "x" * 300}, {"display": "lobby"}):
            reply = server.request("POST", "/v1/tickets", body, {"Content-Type": "application/json"})
            assert reply.status in (400, 401, 422), f"{body!r}: {reply}"
            reply.problem(reply.status)
        for body in ("", "{", {}, {"code": "x"}, {"code": "x", "public_key": "y"}, {"code": 7, "public_key": []}):
            reply = server.request("POST", "/v1/enroll", body, {"Content-Type": "application/json"}, key=None)
            assert reply.status in (400, 401, 422), f"{body!r}: {reply}"
            reply.problem(reply.status)
        for body in ({"display": "UPPER"}, {"display": "all"}, {"display": "group"}, {"display": "a" * 64}, {"display": "-a"}):
            reply = server.request("POST", "/v1/enrollments", body)
            assert reply.status in (400, 422), f"{body!r}: {reply}"
            reply.problem(reply.status)
        for body in ({"groups": "floor"}, {"groups": ["No Good"]}, {"label": 7}, {"colour": "red"}):
            reply = server.request("PATCH", "/v1/displays/lobby", body)
            assert reply.status in (400, 422), f"{body!r}: {reply}"
            reply.problem(reply.status)
        equal(post(json.dumps(good)).status, 202, "and a good one is still taken")


def reply_in(reply, *statuses):
    assert reply.status in statuses, reply
    return reply.status


@scenario
def a_group_command_reaches_its_members_and_a_joiner_gets_the_groups_state():
    with Server() as server:
        lobby, hall = server.enroll("lobby"), server.enroll("hall")
        equal(server.request("PATCH", "/v1/displays/lobby", {"groups": ["floor-1"], "label": "Lobby"}).status, 200)
        with lobby.socket() as one:
            assert "group/floor-1" in one.hello["addresses"], one.hello
            one.resume()
            equal(server.publish("group/floor-1", "kiosk.navigate", {"url": "http://a/"}).status, 202)
            one.receipt(one.read("kiosk.navigate"), "shown")
        with hall.socket() as two:
            two.resume()
            two.silent(0.3)
        equal(server.request("PATCH", "/v1/displays/hall", {"groups": ["floor-1"]}).status, 200)
        with hall.socket() as two:
            two.resume()
            equal(two.read("kiosk.navigate")["data"]["url"], "http://a/")
        displays = server.request("GET", "/v1/displays").body.decode()
        assert "lobby" in displays and "hall" in displays and "Lobby" in displays, displays


@scenario
def health_and_metrics_are_open_and_in_their_formats():
    with Server() as server:
        for path in ("/healthz", "/readyz"):
            equal(server.request("GET", path, key=None).status, 200, path)
        metrics = server.request("GET", "/metrics", key=None)
        if metrics.status == 401:
            metrics = server.request("GET", "/metrics")
        equal(metrics.status, 200)
        for line in metrics.body.decode().splitlines():
            assert line == "" or line.startswith("#") or len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0, line
        openapi = server.request("GET", "/openapi.json", key=None)
        if openapi.status == 401:
            openapi = server.request("GET", "/openapi.json")
        equal(openapi.status, 200)
        assert openapi.json["openapi"].startswith("3.") and "/v1/events" in openapi.json["paths"]
