#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small receiver for trying things out: prints every callback that arrives and answers 200."""
import argparse
import datetime
import http.server


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        now = datetime.datetime.now(datetime.timezone.utc)
        late = ""
        planned = self.headers.get("Seed-Planned-At")
        if planned:
            late_s = (now - datetime.datetime.fromisoformat(planned.replace("Z", "+00:00"))).total_seconds()
            late = f"  {late_s * 1000:.1f} ms after its instant"
        print(f"{now:%H:%M:%S}  callback arrived: {self.path}  {body}{late}", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    port = parser.parse_args().port
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
