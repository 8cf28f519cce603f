# SPDX-License-Identifier: GPL-2.0-only
"""python.py STYLE: a server and clients in that style, every byte compared."""
import asyncio
import hashlib
import http.client
import http.server
import multiprocessing
import selectors
import socket
import socketserver
import sys
import threading
import time
import xmlrpc.client
import xmlrpc.server

SECONDS = 1.5
SIZES = (1, 100, 4096, 65536, 1 << 20)
STYLE = sys.argv[1] if len(sys.argv) > 1 else ""


def blob(size, salt):
    piece = hashlib.sha256(b"%d" % salt).digest()
    return (piece * (size // 32 + 1))[:size]


def read_exactly(sock, size):
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 16))
        if not part:
            raise EOFError("end of stream, %d bytes short" % size)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Echo(socketserver.BaseRequestHandler):
    """The size, and as many bytes, back."""

    def handle(self):
        if STYLE == "timeout":
            self.request.settimeout(20)
        while True:
            head = self.request.recv(8, socket.MSG_PEEK)
            if not head:
                break
            size = int.from_bytes(read_exactly(self.request, 8), "big")
            self.request.sendall(read_exactly(self.request, size))
        self.request.sendall(b"bye")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def turn(sock, size, salt):
    data = blob(size, salt)
    if size < 100000:
        sock.sendall(size.to_bytes(8, "big") + data)
        back = read_exactly(sock, size)
    else:  # both ways at once, or both would wait
        sender = threading.Thread(target=sock.sendall, args=(size.to_bytes(8, "big") + data,))
        sender.start()
        back = read_exactly(sock, size)
        sender.join()
    return back == data


def sync_client(port, salt, faults):
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.settimeout(20 if STYLE != "blocking" else None)
            for size in SIZES:
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    if not turn(sock, size, salt):
                        faults.append("wrong bytes of %d" % size)
            sock.shutdown(socket.SHUT_WR)
            if read_exactly(sock, 3) != b"bye" or sock.recv(1):
                faults.append("wrong end")
    except Exception as e:
        faults.append(repr(e))


def sync_clients(port, count=3):
    faults = []
    threads = [threading.Thread(target=sync_client, args=(port, i, faults)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return faults


# asyncio


async def stream_echo(reader, writer):
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(8), "big")
            left = size
            while left:
                part = await reader.read(min(left, 1 << 16))
                left -= len(part)
                writer.write(part)
                await writer.drain()
    except asyncio.IncompleteReadError:
        writer.write(b"bye")
    writer.write_eof()
    await writer.drain()
    writer.close()


class ProtocolEcho(asyncio.BufferedProtocol):
    """Echoes everything; without the head it can't know the size."""

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(1 << 16)
        self.head = b""
        self.left = 0

    def get_buffer(self, hint):
        return self.buffer

    def buffer_updated(self, n):
        data = self.head + bytes(self.buffer[:n])
        self.head = b""
        while data:
            if not self.left:
                if len(data) < 8:
                    self.head = data
                    return
                self.left, data = int.from_bytes(data[:8], "big"), data[8:]
            self.transport.write(data[:self.left])
            took = min(self.left, len(data))
            self.left -= took
            data = data[took:]

    def eof_received(self):
        self.transport.write(b"bye")
        return False


async def async_server(ready):
    loop = asyncio.get_running_loop()
    if STYLE == "asyncio":
        server = await loop.create_server(ProtocolEcho, "127.0.0.1", 0)
    else:
        server = await asyncio.start_server(stream_echo, "127.0.0.1", 0)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def async_client(port, salt, faults):
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for size in SIZES:
            data = blob(size, salt)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                writer.write(size.to_bytes(8, "big") + data)
                if await asyncio.wait_for(reader.readexactly(size), 20) != data:
                    faults.append("wrong bytes of %d" % size)
        writer.write_eof()
        if await asyncio.wait_for(reader.read(), 20) != b"bye":
            faults.append("wrong end")
        writer.close()
        await writer.wait_closed()
    except Exception as e:
        faults.append(repr(e))


async def async_clients(port):
    faults = []
    await asyncio.gather(*(async_client(port, i, faults) for i in range(3)))
    return faults


# selectors: non-blocking, a small state machine


def selector_server(ready):
    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])
    sel = selectors.DefaultSelector()
    sel.register(listener, selectors.EVENT_READ)
    pending = {}
    while True:
        for key, _ in sel.select():
            if key.fileobj is listener:
                sock, _ = listener.accept()
                sock.setblocking(False)
                pending[sock] = [bytearray(), False, -1]
                sel.register(sock, selectors.EVENT_READ)
                continue
            sock = key.fileobj
            state = pending[sock]
            if not state[1]:
                try:
                    data = sock.recv(1 << 16)
                    if not data:
                        state[1] = True
                        state[0] += b"bye"
                    elif state[2] < 0:
                        state[2] = 0
                    state[0] += data
                except BlockingIOError:
                    pass
            try:
                while state[0]:
                    del state[0][:sock.send(state[0])]
            except BlockingIOError:
                pass
            if state[1] and not state[0]:
                sel.unregister(sock)
                sock.close()
                del pending[sock]
            else:
                sel.modify(sock, (0 if state[1] else selectors.EVENT_READ) |
                           (selectors.EVENT_WRITE if state[0] else 0))


def selector_client(port, salt, faults):
    try:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        sel = selectors.DefaultSelector()
        sel.register(sock, selectors.EVENT_READ)
        for size in SIZES:
            data = blob(size, salt)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                out, back = memoryview(data), bytearray()
                while len(back) < size:
                    sel.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0))
                    if not sel.select(20):
                        raise TimeoutError("nothing for 20 seconds")
                    try:
                        if out:
                            out = out[sock.send(out):]
                    except BlockingIOError:
                        pass
                    try:
                        back += sock.recv(1 << 16)
                    except BlockingIOError:
                        pass
                if back != data:
                    faults.append("wrong bytes of %d" % size)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(20)
        if read_exactly(sock, 3) != b"bye" or sock.recv(1):
            faults.append("wrong end")
    except Exception as e:
        faults.append(repr(e))


# http.server and xmlrpc


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args):
        pass

    def answer(self, data):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(blob(int(self.path[1:]), 5))

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))


def http_client(port, salt, faults):
    try:
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for size in SIZES:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                conn.request("GET", "/%d" % size)
                if conn.getresponse().read() != blob(size, 5):
                    faults.append("wrong bytes of %d" % size)
                conn.request("POST", "/", blob(size, salt))
                if conn.getresponse().read() != blob(size, salt):
                    faults.append("wrong bytes back of %d" % size)
    except Exception as e:
        faults.append(repr(e))


def xmlrpc_client(port, salt, faults):
    try:
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1:%d" % port)
        for size in SIZES[:4]:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                data = blob(size, salt)
                if proxy.echo(xmlrpc.client.Binary(data)).data != data:
                    faults.append("wrong bytes of %d" % size)
    except Exception as e:
        faults.append(repr(e))


def serve(style, ready):
    if style.startswith("asyncio"):
        asyncio.run(async_server(ready))
    elif style == "selectors":
        selector_server(ready)
    elif style == "http":
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        ready.send(server.server_address[1])
        server.serve_forever()
    elif style == "xmlrpc":
        server = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
        server.register_function(lambda data: data, "echo")
        ready.send(server.server_address[1])
        server.serve_forever()
    else:
        server = Server(("127.0.0.1", 0), Echo)
        ready.send(server.server_address[1])
        server.serve_forever()


def threads_of(client, port, count):
    faults = []
    threads = [threading.Thread(target=client, args=(port, i, faults)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return faults


def main():
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(STYLE, theirs), daemon=True)
    server.start()
    port = ours.recv()
    if STYLE.startswith("asyncio"):
        faults = asyncio.run(async_clients(port))
    elif STYLE == "selectors":
        faults = threads_of(selector_client, port, 2)
    elif STYLE == "http":
        faults = threads_of(http_client, port, 3)
    elif STYLE == "xmlrpc":
        faults = threads_of(xmlrpc_client, port, 1)
    else:
        faults = sync_clients(port)
    server.terminate()
    server.join()
    print("%s = %s" % (STYLE, ", ".join(sorted(set(faults))) or "right"))


main()
