#!/usr/bin/env python3
"""A source of credentials for with-creds, in Python: tokens of a service that has an HTTP API.

    export TOKENS_URL=https://tokens.example WITH_CREDS_COMMAND_ENV_TOKENS_KEY=…
    export WITH_CREDS_COMMAND_ENV=TOKENS_URL,TOKENS_KEY
    with-creds -c 'command:./mint.py API_TOKEN=token' -- ./deploy

The protocol is in the documentation of package providers/command; `with-creds provider check ./mint.py` tries it.
"""

import json
import os
import sys
import urllib.error
import urllib.request


class Refused(Exception):
    """Asking again will not help."""


def api(method, token_id, body=None):
    """Asks the service; returns the status and the answer."""
    request = urllib.request.Request(
        f"{os.environ['TOKENS_URL']}/tokens/{token_id}",
        method=method,
        data=json.dumps(body or {}).encode(),
        headers={"Authorization": "Bearer " + os.environ["TOKENS_KEY"]},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read() or "{}")
    except urllib.error.HTTPError as e:
        if e.code == 401:
            raise Refused("the service does not accept TOKENS_KEY") from e
        return e.code, {}


def issue(question):
    status, made = api("POST", question["id"], {"ttl": question.get("ttl")})
    if status != 201:
        raise RuntimeError(f"making a token: status {status}")
    return {
        "fields": {"token": made["token"], "owner": {"value": question.get("run", ""), "secret": False}},
        "lease": {"made by": "mint.py"},  # the id is all that is needed; this only shows that there may be more
        "ttl": made["expires_in"],
        "max_ttl": 3600,
        "renewable": True,
    }


def renew(question):
    status, extended = api("PATCH", question["id"], {"ttl": question.get("ttl")})
    if status == 404:
        raise Refused("the token is gone")
    if status != 200:
        raise RuntimeError(f"extending a token: status {status}")
    return {"ttl": extended["expires_in"], "renewable": True}


def revoke(question):
    status, _ = api("DELETE", question["id"])
    if status not in (204, 404):  # 404: it is gone already, or never was
        raise RuntimeError(f"removing a token: status {status}")
    return {"proof": "proven"}


def main():
    question = json.load(sys.stdin)
    try:
        if question["version"] != 1:
            raise Refused("this program speaks version 1 of the protocol")
        answer = {"issue": issue, "renew": renew, "revoke": revoke}[question["action"]](question)
    except Refused as e:
        answer = {"error": str(e), "refused": True}
    except (RuntimeError, OSError) as e:
        answer = {"error": str(e)}
    json.dump({"version": 1, **answer}, sys.stdout)


main()
