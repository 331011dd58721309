"""How many items there are. Nothing here knows of Vault, or of with-creds: the login is in the environment, where every client of PostgreSQL looks for it."""

import psycopg

with psycopg.connect(dbname="app") as connection:
    count, first = connection.execute("select count(*), min(name) from items").fetchone()

print(f"{count} items, of which the first is {first}")
