"""Tickets as a Django site mints them in a real Redis: they open one socket, once, within 20 s."""

import datetime
import json
import signal
import sys
import threading
import time
import types
import uuid

from kit import Server, equal, scenario, until


def minted(user, seconds_ago=0, **more):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    return json.dumps({"user": user, "time": moment.strftime("%d:%m:%Y:%H:%M:%S"), **more})


def put(redis, value, key=None):
    key = key or "wstoken" + uuid.uuid4().hex
    redis.client.set(key, value)
    return key


def django_site(redis):
    """A Django site, as small as one can be: its own template tag library and one template that uses it."""
    import django
    from django import template
    from django.conf import settings
    from django.template import engines

    library = types.ModuleType("wstoken_tags")
    library.register = template.Library()

    @library.register.simple_tag(takes_context=True)
    def ws_token(context):
        key = "wstoken" + uuid.uuid4().hex
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%d:%m:%Y:%H:%M:%S")
        redis.client.set(key, json.dumps({"user": context["request"].user.username, "time": now}))
        return key

    sys.modules["wstoken_tags"] = library
    settings.configure(
        USE_TZ=True,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"libraries": {"wstoken": "wstoken_tags"}},
            }
        ],
    )
    django.setup()
    page = '{% load wstoken %}<script>new WebSocket("/wsb?ws_token={% ws_token %}", "cloudevents.json")</script>'

    def render(username):
        request = types.SimpleNamespace(user=types.SimpleNamespace(username=username))
        html = engines["django"].from_string(page).render({"request": request})
        return html.split("ws_token=")[1].split('"')[0]

    return render


@scenario
def the_ticket_of_a_django_template_tag_opens_a_socket_once():
    with Server(redis=True) as server:
        render = django_site(server.redis)
        for user, how, path in (("ada", "query", "/wsb"), ("Ünï codé/ada.all", "header", "/v1/ws"), ("ada", "subprotocol", "/wsb")):
            ticket = render(user)
            assert server.redis.client.exists(ticket)
            with server.socket(ticket, how, path) as opened:
                equal(opened.hello["addresses"], [f"user/{user}"])
                opened.resume()
                equal(server.publish(f"user/{user}", data="for you").status, 202)
                equal(opened.read("org.example.note")["data"], "for you")
            assert not server.redis.client.exists(ticket), "gone at first use"
            server.refused(ticket, how, path)
        with server.socket(render("lobby")) as opened:
            equal(opened.hello["addresses"], ["user/lobby"], "a user with a display's name is a user")


@scenario
def a_ticket_is_good_for_twenty_seconds_and_not_from_the_future():
    with Server(redis=True) as server:
        for seconds_ago in (0, 10, 17, -3):
            server.socket(put(server.redis, minted("ada", seconds_ago))).close()
        for seconds_ago in (22, 60, 86400, 86400 * 600, -8, -60, -86400):
            ticket = put(server.redis, minted("ada", seconds_ago))
            server.refused(ticket)
            assert not server.redis.client.exists(ticket), "a refused ticket is burnt"


@scenario
def what_is_no_ticket_in_redis_opens_nothing_and_breaks_nothing():
    now = minted("ada")
    time_now = json.loads(now)["time"]
    values = [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"ada"',
        "{}",
        json.dumps({"user": "ada"}),
        json.dumps({"time": time_now}),
        json.dumps({"user": "", "time": time_now}),
        json.dumps({"user": 7, "time": time_now}),
        json.dumps({"user": None, "time": time_now}),
        json.dumps({"user": ["ada"], "time": time_now}),
        json.dumps({"user": "x" * 5000, "time": time_now}),
        json.dumps({"user": "a\nb", "time": time_now}),
        json.dumps({"user": "ada", "time": ""}),
        json.dumps({"user": "ada", "time": 7}),
        json.dumps({"user": "ada", "time": "31:02:2026:10:00:00"}),
        json.dumps({"user": "ada", "time": "99:99:9999:99:99:99"}),
        json.dumps({"user": "ada", "time": "٠١:٠١:٢٠٢٦:٠٠:٠٠:٠٠"}),
        json.dumps({"user": "ada", "time": "-1:-1:-1:-1:-1:-1"}),
        json.dumps({"user": "ada", "time": datetime.datetime.now(datetime.timezone.utc).isoformat()}),
        minted("ada", display="attic"),
        minted("ada", display="../etc"),
        minted("ada", display=7),
        b"\xff\xfe\x00",
        "x" * (1 << 20),
        '{"a":' * 100000,
    ]
    with Server(redis=True) as server:
        for value in values:
            server.refused(put(server.redis, value))
        for make in ("lpush", "sadd"):
            key = "wstoken" + uuid.uuid4().hex
            getattr(server.redis.client, make)(key, now)
            server.refused(key)
        server.socket(put(server.redis, minted("ada"))).close()


@scenario
def what_has_not_the_form_of_a_ticket_never_reaches_redis():
    with Server(redis=True) as server:
        server.socket(put(server.redis, minted("ada"))).close()
        before = server.redis.calls("getdel")
        assert before == 1, f"the ticket was taken by GETDEL: {server.redis.client.info('commandstats')}"
        digits = uuid.uuid4().hex
        for odd in (
            "wstoken",
            "wstoken" + digits[:-1],
            "wstoken" + digits + "0",
            "wstoken" + digits.upper().replace("0", "A"),
            "WSTOKEN" + digits,
            "wstoken" + "g" * 32,
            "wstoken*",
            "wstoken" + digits[:-2] + "\r\n",
            "session:" + digits,
            " wstoken" + digits,
            "wstoken" + digits + "\x00",
            "wstoken" + "٠" * 32,
        ):
            server.redis.client.set(odd, minted("ada"))
            server.refused(odd, "query")
            assert server.redis.client.exists(odd), f"{odd!r} was taken"
        equal(server.redis.calls("getdel"), before)
        for command in ("get", "del", "keys", "scan", "exists"):
            assert command == "exists" or server.redis.calls(command) == 0, f"{command} was asked"


@scenario
def a_value_that_names_an_enrolled_display_opens_that_displays_socket():
    with Server(redis=True) as server:
        server.enroll("lobby")
        with server.socket(put(server.redis, minted("ada", display="lobby"))) as opened:
            assert "display/lobby" in opened.hello["addresses"], opened.hello


@scenario
def with_redis_down_every_ticket_is_refused_quickly_and_with_redis_back_they_open():
    with Server(redis=True) as server:
        ticket = put(server.redis, minted("ada"))
        lives_on = server.socket(put(server.redis, minted("bob")))
        lives_on.resume()
        server.redis.kill()
        for attempt in range(5):
            took = server.refused(ticket)
            assert took < 3, f"refused only after {took} s"
        equal(server.publish("user/bob", data=1).status, 202, "the rest of the server works on")
        equal(lives_on.read("org.example.note")["data"], 1)
        reply = server.request("POST", "/v1/tickets", {"user": "ada"})
        reply.problem(503)
        server.redis.start()

        def opens():
            try:
                server.socket(put(server.redis, minted("ada"))).close()
                return True
            except Exception:
                return False

        until("tickets open sockets again", opens, 10)


@scenario
def with_redis_hung_a_ticket_is_refused_within_its_deadline():
    with Server(redis=True) as server:
        server.socket(put(server.redis, minted("ada"))).close()
        ticket = put(server.redis, minted("ada"))
        server.redis.child.process.send_signal(signal.SIGSTOP)
        try:
            took = server.refused(ticket)
            assert took < 8, f"refused only after {took} s"
        finally:
            server.redis.child.process.send_signal(signal.SIGCONT)


@scenario
def tickets_that_the_server_mints_in_redis_have_the_same_shape():
    with Server(redis=True) as server:
        ticket = server.ticket("ada")
        value = json.loads(server.redis.client.get(ticket))
        equal(value["user"], "ada")
        datetime.datetime.strptime(value["time"], "%d:%m:%Y:%H:%M:%S")
        assert 0 < server.redis.client.ttl(ticket) <= 60, "what nobody takes is forgotten"
        with server.socket(ticket) as opened:
            equal(opened.hello["addresses"], ["user/ada"])
        server.refused(ticket)


@scenario
def two_servers_on_one_redis_never_both_open_with_one_ticket():
    with Server(redis=True) as server:
        other = Server()
        other.config.write_text(other.config.read_text() + f'[tickets]\nredis = "{server.redis.url}"\n')
        with other:
            for _ in range(25):
                ticket = put(server.redis, minted("ada"))
                opened, gate = [], threading.Barrier(8)

                def attempt(which):
                    gate.wait()
                    try:
                        opened.append(which.socket(ticket))
                    except Exception as refusal:
                        assert getattr(getattr(refusal, "response", None), "status_code", 0) == 401, refusal

                threads = [threading.Thread(target=attempt, args=(which,)) for which in (server, other) * 4]
                [thread.start() for thread in threads]
                [thread.join() for thread in threads]
                equal(len(opened), 1, "sockets that one ticket opened")
                opened[0].close()
