"""The tasks of a shop, for real Celery workers: `celery -A workers worker`, with BROKER, BACKEND and NOTES set."""

import os
import time

from celery import Celery

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_connection_retry = True
app.conf.worker_cancel_long_running_tasks_on_connection_loss = False
app.conf.task_default_queue = os.environ.get("QUEUE", "celery")
app.conf.worker_prefetch_multiplier = 64


@app.task(name="shop.add")
def add(x, y, times=1):
    return (x + y) * times


@app.task(name="shop.who", bind=True)
def who(self):
    return self.request.pikiosk_caller


@app.task(name="shop.fail")
def fail():
    raise ValueError("no such order")


@app.task(name="shop.large")
def large(length):
    return "x" * length


@app.task(name="shop.slow")
def slow(seconds):
    time.sleep(seconds)
    return "slept"


@app.task(name="shop.wait")
def wait():
    while not os.path.exists(os.environ["NOTES"] + ".go"):
        time.sleep(0.01)
    return "went"


@app.task(name="shop.note")
def note(text):
    with open(os.environ["NOTES"], "a", encoding="utf-8") as file:
        file.write(text + "\n")
    return text


@app.task(name="shop.secret")
def secret():
    return "not for everybody"


def revoke_waiting(name):
    """Revokes every task of this name that the one worker holds and has not begun; prints how many those were."""
    found = [
        task["id"]
        for tasks in (app.control.inspect(timeout=60, limit=1).reserved() or {}).values()
        for task in tasks
        if task["name"] == name
    ]
    app.control.revoke(found)
    print(len(found))
