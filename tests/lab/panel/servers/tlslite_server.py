"""Servers of tlslite-ng: tlslite_server.py CONFIG.json; keys of `settings` are those of HandshakeSettings."""
import json
import socket
import sys
import threading

from tlslite.api import HandshakeSettings, SessionCache, TLSConnection, X509CertChain, parsePEMKey

SECONDS = 20
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n"


def settings(given):
    made = HandshakeSettings()
    for name, value in given.items():
        value = tuple(value) if name in ("minVersion", "maxVersion") else [tuple(v) for v in value] if name == "versions" else value
        if name == "dhParams":
            value = tuple(int(v) for v in value)
        if name == "ticketKeys":
            value = [bytes.fromhex(v) for v in value]
        setattr(made, name, value)
    return made


def serve(connection, arguments):
    connection.settimeout(SECONDS)
    tls = TLSConnection(connection)
    try:
        tls.handshakeServer(**arguments)
        tls.read(max=4096, min=1)
        tls.write(PAGE)
        tls.close()
    except Exception:  # What a client does wrong ends its connection only.
        pass
    finally:
        connection.close()


def listen(given):
    arguments = {"settings": settings(given["settings"]), "anon": given.get("anon", False), "alpn": [a.encode() for a in given.get("alpn", [])] or None}
    if given.get("cache"):
        arguments["sessionCache"] = SessionCache()
    if "key" in given:
        chain = X509CertChain()
        with open(given["cert"], encoding="ascii") as cert, open(given["key"], encoding="ascii") as key:
            chain.parsePemList(cert.read())
            arguments |= {"certChain": chain, "privateKey": parsePEMKey(key.read(), private=True), "reqCert": given.get("request", False)}
    listener = socket.create_server(("127.0.0.1", given["port"]), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, arguments), daemon=True).start()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        threads = [threading.Thread(target=listen, args=(given,)) for given in json.load(file)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
