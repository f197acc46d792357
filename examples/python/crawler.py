"""A web crawler over pages that this program serves itself: follows links from page to page, each fetched once by a task."""

from __future__ import annotations

import argparse
import re
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mobula


class Pages(BaseHTTPRequestHandler):
    """Serves page n, which links to 2n+1 and 2n+2, as long as there are pages."""

    count = 0

    def do_GET(self) -> None:
        number = int(self.path.strip("/") or 0)
        links = "".join(f'<a href="/{n}">{n}</a>' for n in (2 * number + 1, 2 * number + 2) if n < self.count)
        body = f"<title>Page {number}</title>{links}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@mobula.remote
def fetch(base: str, path: str) -> tuple[str, list[str]]:
    """Returns the title of a page and its links."""
    with urllib.request.urlopen(base + path, timeout=30) as response:
        text = response.read().decode()
    title = re.search("<title>(.*?)</title>", text)
    return title.group(1) if title else path, re.findall('href="(.*?)"', text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=60)
    args = parser.parse_args()
    Pages.count = args.pages
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with mobula.init():
        seen, titles = {"/0"}, []
        running = [fetch.remote(base, "/0")]
        while running:
            ready, running = mobula.wait(running)
            title, links = mobula.get(ready[0])
            titles.append(title)
            for link in links:
                if link not in seen:
                    seen.add(link)
                    running.append(fetch.remote(base, link))
    server.shutdown()
    print(f"{len(titles)} pages, from {min(titles)} to {max(titles, key=lambda t: int(t.split()[1]))}")


if __name__ == "__main__":
    main()
