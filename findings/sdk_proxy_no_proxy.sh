#!/usr/bin/env bash
# A proxy that is never used keeps the clients of OpenAI and Anthropic from being made at all.
#
# One would guess that a variable such as ALL_PROXY counts when a request goes out, and that a host in
# no_proxy has nothing to do with it. Both clients read every such variable when they are constructed: with
# ALL_PROXY=socks://..., which GNOME sets, they end with a ValueError, and with socks5://, where socksio is
# not installed, with an ImportError, for a server on this very machine that no_proxy excepts. Only
# no_proxy=* lets them be. Headers are the other way round: what OPENAI_CUSTOM_HEADERS holds, the key of a
# gateway perhaps, goes to whatever host `base_url` names.
#
# openai 3.51.0, anthropic 2.10.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet openai==3.51.0 anthropic==2.10.0
cat >"$folder/make.py" <<'PY'
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai

sys.unraisablehook = lambda *_: None  # the half-made clients complain once more when they are dropped
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
seen: list[str] = []


class Listener(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        seen.append(self.headers.get("X-Gateway-Key", "nothing"))
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
threading.Thread(target=server.serve_forever, daemon=True).start()
given = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}", "max_retries": 0}
for proxy, excepted in (("socks://h:1", "127.0.0.1"), ("socks5://h:1", "127.0.0.1"), ("socks://h:1", "*")):
    os.environ |= {"ALL_PROXY": proxy, "NO_PROXY": excepted}
    for make in (openai.OpenAI, anthropic.Anthropic):
        try:
            make(**given)
            print(f"{proxy}, but not for {excepted}: {make.__name__} is made")
        except Exception as error:
            print(f"{proxy}, but not for {excepted}: {make.__name__}: {type(error).__name__}")
os.environ |= {"ALL_PROXY": "", "OPENAI_CUSTOM_HEADERS": "X-Gateway-Key: secret"}
try:
    openai.OpenAI(**given).chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
except openai.BadRequestError:
    print(f"the server at 127.0.0.1 saw {seen[0]}")
server.shutdown()
PY
seen=$("$folder/env/bin/python" "$folder/make.py")
echo "$seen"
[ "$seen" = "socks://h:1, but not for 127.0.0.1: OpenAI: ValueError
socks://h:1, but not for 127.0.0.1: Anthropic: ValueError
socks5://h:1, but not for 127.0.0.1: OpenAI: ImportError
socks5://h:1, but not for 127.0.0.1: Anthropic: ImportError
socks://h:1, but not for *: OpenAI is made
socks://h:1, but not for *: Anthropic is made
the server at 127.0.0.1 saw secret" ]
