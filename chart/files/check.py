"""What `helm test` asks of a gateway: check.py ready|models|chat|limit, told where and what by variables.

Only the standard library; the answer is the exit code, and a line that says what was seen.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

URL = os.environ["GATEWAY_URL"]
MODEL = os.environ.get("MODEL", "")
LIMIT = int(os.environ.get("LIMIT", "0"))
DEADLINE = time.monotonic() + float(os.environ.get("TIMEOUT", "900"))
KEY_FILE = os.environ.get("CLIENT_KEY_FILE")
LOADING = (404, 503)  # the model's first pod is not there, or not ready
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE  # the name within the cluster is in no certificate


def ask(path, body=None):
    """Return status, headers and body text; a connection that fails is status 0."""
    headers = {"content-type": "application/json"}
    if KEY_FILE:
        headers["authorization"] = "Bearer " + Path(KEY_FILE).read_text().strip()
    request = urllib.request.Request(URL + path, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=120, context=CONTEXT) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
    except OSError as error:
        return 0, {}, str(error)


def chat(_=None):
    """Ask the model for one word."""
    messages = [{"role": "user", "content": "Say yes."}]
    return ask("/v1/chat/completions", {"model": MODEL, "max_tokens": 1, "messages": messages})


def patiently(question, passing=(0,)):
    """Ask until the answer is not one of those that pass by themselves, or time is up."""
    while True:
        answer = question()
        if answer[0] not in passing or time.monotonic() > DEADLINE:
            return answer
        time.sleep(2)


def ready():
    status, _, text = patiently(lambda: ask("/readyz"), (0, 503))
    return status == 200, f"/readyz: {status} {text}"


def models():
    status, _, text = patiently(lambda: ask("/v1/models"))
    return status == 200 and json.loads(text)["object"] == "list", f"/v1/models: {status} {text}"


def completion():
    status, _, text = patiently(chat, (0, *LOADING))
    return status == 200 and bool(json.loads(text)["choices"]), f"chat completion of {MODEL}: {status} {text}"


def limit():
    patiently(chat, (0, *LOADING, 429))
    many = 2 * LIMIT + 5  # more than two windows take
    for _ in range(3):
        with ThreadPoolExecutor(many) as pool:
            answers = list(pool.map(chat, range(many)))
        refused = [answer for answer in answers if answer[0] == 429]
        if refused and refused[0][1].get("x-error-model-rps-exceeded") == "true":
            return True, f"{len(refused)} of {many} requests at once were over the limit of {LIMIT}: {refused[0][2]}"
    return False, f"none of {many} requests at once was over the limit of {LIMIT}: {[answer[0] for answer in answers]}"


passed, seen = {"ready": ready, "models": models, "chat": completion, "limit": limit}[sys.argv[1]]()
print("passed:" if passed else "FAILED:", seen)
sys.exit(not passed)
