"""A program that runs for days, and longer than any login lives. It opens its connections anew, and each finds the newest login where libpq looks for it."""

import os
import sys
import time

import psycopg

interval = float(os.environ.get("INTERVAL", "60"))
delay = 1.0
while True:
    try:
        with psycopg.connect(dbname="app") as connection:
            user, count = connection.execute("select current_user, count(*) from items").fetchone()
        print(f"{user} sees {count} items", flush=True)
        pause, delay = interval, 1.0
    except psycopg.OperationalError as error:  # the server is away, or the login has just changed
        print(error, file=sys.stderr)
        pause, delay = delay, min(2 * delay, 60)
    time.sleep(pause)
