"""A backend for package backends: Python's own file server, for the folder given.

With the second argument "loose" it drops path parameters and ignores letter case.
"""
import functools
import http.server
import sys
import urllib.parse

LOOSE = sys.argv[2:] == ["loose"]


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def translate_path(self, path):
        if LOOSE:
            path = path.split("?", 1)[0]
            path = "/".join(segment.split(";", 1)[0] for segment in path.split("/"))
            path = urllib.parse.quote(urllib.parse.unquote(path).lower())
        return super().translate_path(path)

    def list_directory(self, path):
        self.send_error(404, "NOTHING")

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
