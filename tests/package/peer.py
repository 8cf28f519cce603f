# SPDX-License-Identifier: GPL-2.0-only
"""peer.py router|pair|client ADDRESS PORT: what talks in tests/package/guest.

router  as ziti-router does: a transparent listener, rules by shunt-diverter, and
        every byte back to the client
pair    two sockets of one program that exchange messages and read without blocking
client  sends a MiB and expects the same bytes
"""

import os
import select
import socket
import subprocess
import sys
import threading
import time

IP_TRANSPARENT = 19


def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def serve(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def ready():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def router():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    listener.bind(("127.0.0.1", 9999))
    listener.listen()
    diverter = "/usr/sbin/shunt-diverter"
    subprocess.run([diverter, "-V"], check=True)
    words = "-I -c 10.7.0.0 -m 16 -p tcp -l 80 -h 90 -t 9999 -s web"
    subprocess.run([diverter, *words.split()], check=True)
    ready()
    serve(listener)


def wait(connection):
    select.select([connection], [], [])
    return connection.recv(65536)


def answer(listener):
    connection, _ = listener.accept()
    connection.setblocking(False)
    while data := wait(connection):
        connection.send(data)


def pair():
    listener = socket.create_server(("127.0.0.1", 7007))
    threading.Thread(target=answer, args=(listener,), daemon=True).start()
    asker = socket.create_connection(("127.0.0.1", 7007))
    asker.setblocking(False)
    while True:
        for _ in range(100):
            asker.send(b"message")
            wait(asker)
        time.sleep(0.01)


def client(address, port):
    sent = os.urandom(1 << 20)
    got = bytearray()
    with socket.create_connection((address, int(port)), timeout=60) as connection:
        threading.Thread(target=connection.sendall, args=(sent,), daemon=True).start()
        while len(got) < len(sent) and (data := connection.recv(65536)):
            got += data
    sys.exit(0 if got == sent else f"{len(got)} bytes came back, or others than were sent")


{"router": router, "pair": pair, "client": client}[sys.argv[1]](*sys.argv[2:])
