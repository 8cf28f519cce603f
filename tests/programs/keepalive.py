# SPDX-License-Identifier: GPL-2.0-only
"""keepalive.py SECONDS CONNECTIONS PORT...

Small requests over kept connections for 1.5 seconds, then for SECONDS large ones
between small ones, up and down, over the same connections. Prints what was not as
expected, and the longest turn.
"""
import hashlib
import http.client
import sys
import threading
import time


def sha(data):
    return hashlib.sha256(data).hexdigest()


def get(conn, path):
    conn.request("GET", path)
    answer = conn.getresponse()
    return answer.status, answer.read()


def turns(port, seconds, number, out):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    want = {p: sha(open("www" + p, "rb").read()) for p in ("/f1k", "/f64k", "/f1m")}
    longest, faults = 0, []
    hot = time.monotonic() + 1.5
    end = hot + seconds
    try:
        while time.monotonic() < end:
            small = 0
            while time.monotonic() < hot or small < 200 + 10 * number:
                small += 1
                if sha(get(conn, "/f1k")[1]) != want["/f1k"]:
                    faults.append("wrong bytes in f1k")
            for path in ("/f64k", "/f1m", "/f1k"):
                begin = time.monotonic()
                if sha(get(conn, path)[1]) != want[path]:
                    faults.append("wrong bytes in " + path)
                longest = max(longest, time.monotonic() - begin)
            for size in (100, 4096, 65536, 300000):
                begin = time.monotonic()
                body = bytes([number]) * size
                conn.request("PUT", "/up%d" % number, body)
                answer = conn.getresponse()
                answer.read()
                if answer.status not in (201, 204):
                    faults.append("PUT: status %d" % answer.status)
                if get(conn, "/up%d" % number)[1] != body:
                    faults.append("wrong bytes after PUT of %d" % size)
                longest = max(longest, time.monotonic() - begin)
    except Exception as e:
        faults.append(repr(e))
    out.append((longest, faults))


def main():
    seconds, connections = float(sys.argv[1]), int(sys.argv[2])
    for port in map(int, sys.argv[3:]):
        out = []
        threads = [threading.Thread(target=turns, args=(port, seconds, i, out))
                   for i in range(connections)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        faults = sorted({f for o in out for f in o[1]})
        print("port %d: then large = %s" % (port, ", ".join(faults) or "right"))
        print("# port %d: longest large turn = %.0f ms" % (port, 1000 * max(o[0] for o in out)))


main()
