"""A server on the loopback that speaks as much of S3 as a scan asks: list, HEAD, GET of a range."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

MAX_KEYS = 3
"""Keys of one answer, so that a prefix has several pages."""


class S3Server(ThreadingHTTPServer):
    """Serve ``objects``, by ``bucket/key``; while ``is_busy``, refuse and count requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = {}
        self.is_busy = False
        self.requests = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: S3Server
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests += 1
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        if self.server.is_busy:
            self.reply(503, b"")
        elif not any(name.startswith(f"{bucket}/") for name in self.server.objects):
            self.reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif key:
            self.reply_object(self.server.objects.get(f"{bucket}/{key}"))
        else:
            self.reply_list(f"{bucket}/", dict(parse_qsl(url.query)))

    do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

    def reply_object(self, data):
        if data is None:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif asked := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
            if first > last:
                self.reply(416, b"<Error><Code>InvalidRange</Code></Error>")
            else:
                place = f"bytes {first}-{last}/{len(data)}"
                self.reply(206, data[first : last + 1], **{"Content-Range": place})
        else:
            self.reply(200, data)

    def reply_list(self, bucket, query):
        prefix, after = bucket + query.get("prefix", ""), query.get("continuation-token", "")
        names = sorted(name for name in self.server.objects if name.startswith(prefix))
        keys = [key for name in names if (key := name.removeprefix(bucket)) > after]
        page = [f"<Contents><Key>{quote(key)}</Key></Contents>" for key in keys[:MAX_KEYS]]
        if len(keys) > MAX_KEYS:
            last = escape(keys[MAX_KEYS - 1])
            page += ["<IsTruncated>true</IsTruncated>"]
            page += [f"<NextContinuationToken>{last}</NextContinuationToken>"]
        xml = f"<List><EncodingType>url</EncodingType>{''.join(page)}</List>"
        self.reply(200, xml.encode())

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_): ...
