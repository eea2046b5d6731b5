#!/usr/bin/env bash
# Told to wait, the clients of OpenAI and Anthropic do opposite things, and neither looks at `timeout`.
#
# One would guess that two clients of one make, with the same `max_retries` and the same `timeout=5`, treat
# a 429 with Retry-After alike, and that no call lasts much longer than tries times timeout. Up to two
# minutes both wait as they are told. From 121 seconds on OpenAI's client does not try again at all: the
# call ends at once, its retries unused. Anthropic's sleeps as long as the server says: one line of an
# answer makes a call with `timeout=5` last two hours. Whoever sets limits has to retry by himself.
#
# openai 3.51.0, anthropic 2.10.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet openai==3.51.0 anthropic==2.10.0
cat >"$folder/ask.py" <<'PY'
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai

requests: list[str] = []
naps: list[float] = []
wait = 0


class Busy(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        requests.append(self.path)
        self.send_response(429)
        self.send_header("Retry-After", str(wait))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
given = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}", "max_retries": 1, "timeout": 5}
asked = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "?"}]}
clients = {
    "openai": openai.OpenAI(**given).chat.completions.create,
    "anthropic": anthropic.Anthropic(**given).messages.create,
}
time.sleep = naps.append  # nobody has to wait for two hours here
for wait in (120, 121, 7200):
    for name, call in clients.items():
        requests.clear(), naps.clear()
        try:
            call(**asked)
        except (openai.RateLimitError, anthropic.RateLimitError):
            print(f"Retry-After {wait}: {name} made {len(requests)} requests, slept {naps} s")
server.shutdown()
PY
seen=$("$folder/env/bin/python" "$folder/ask.py")
echo "$seen"
[ "$seen" = "Retry-After 120: openai made 2 requests, slept [120.0] s
Retry-After 120: anthropic made 2 requests, slept [120.0] s
Retry-After 121: openai made 1 requests, slept [] s
Retry-After 121: anthropic made 2 requests, slept [121.0] s
Retry-After 7200: openai made 1 requests, slept [] s
Retry-After 7200: anthropic made 2 requests, slept [7200.0] s" ]
