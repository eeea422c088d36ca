"""What many web applications run today: Tornado holds the sockets, Redis the one-time tokens, RabbitMQ brings messages.

tornado_seed.py PORT REDIS_PORT AMQP_URL

A socket comes with ?ws_token=wstoken<32 hex>, whose value in Redis names the user; the token is gone afterwards, and so
is one older than 20 s. A message with the routing key commands.all goes to every socket, commands.user.NAME to NAME's.
"""

import json
import re
import sys
from collections import defaultdict
from datetime import datetime, timezone

import pika
import redis
import tornado.ioloop
import tornado.web
import tornado.websocket
from pika.adapters.tornado_connection import TornadoConnection

FORM = re.compile(r"^wstoken[0-9a-f]{32}$")
tokens = redis.Redis(port=int(sys.argv[2]))
everyone = set()
by_user = defaultdict(set)


class Events(tornado.websocket.WebSocketHandler):
    user = None

    def check_origin(self, origin):
        return True

    def prepare(self):
        token = self.get_argument("ws_token", "")
        value = tokens.get(token) if FORM.match(token) else None
        if value is None:
            raise tornado.web.HTTPError(401)
        tokens.delete(token)
        told = json.loads(value)
        made = datetime.strptime(told["time"], "%d:%m:%Y:%H:%M:%S").replace(tzinfo=timezone.utc)
        if not -5 <= (datetime.now(timezone.utc) - made).total_seconds() <= 20:
            raise tornado.web.HTTPError(401)
        self.user = told["user"]

    def open(self):
        everyone.add(self)
        by_user[self.user].add(self)

    def on_close(self):
        everyone.discard(self)
        by_user[self.user].discard(self)


def on_message(channel, method, _properties, body):
    kind, _, name = method.routing_key.removeprefix("commands.").partition(".")
    for socket in list(everyone if kind == "all" else by_user[name]):
        try:
            socket.write_message(body.decode())
        except tornado.websocket.WebSocketClosedError:
            pass
    channel.basic_ack(method.delivery_tag)


def on_channel(channel):
    def bound(_frame):
        channel.basic_qos(prefetch_count=100)
        channel.basic_consume("seed", on_message)
        # Only now is everything here: whoever waits for the port waits for the broker too.
        application.listen(int(sys.argv[1]), "127.0.0.1")

    channel.exchange_declare("kiosk", "topic")
    channel.queue_declare("seed", exclusive=True)
    channel.queue_bind("seed", "kiosk", "commands.#", callback=bound)


application = tornado.web.Application([("/ws", Events)])
connection = TornadoConnection(
    pika.URLParameters(sys.argv[3]), on_open_callback=lambda opened: opened.channel(on_open_callback=on_channel)
)
tornado.ioloop.IOLoop.current().start()
