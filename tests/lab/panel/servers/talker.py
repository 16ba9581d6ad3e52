"""Plaintext protocols and what can happen to their STARTTLS: talker.py CONFIG.json

Modes: `offer` goes on to TLS, `absent` never heard of it, `refuse` announces it and answers 4xx, `strip` is the
announcement after a middlebox overwrote it, `lie` says go ahead and stays in plaintext.
"""
import json
import socket
import ssl
import sys
import threading

SECONDS = 20
STRIPPED = "XXXXXXXA"
# greeting; asked capability -> answer with STARTTLS, without; command, go ahead, refusal, unknown.
PROTOCOLS = {
    "smtp": ("220 lab.example ESMTP", {"EHLO": (["250-lab.example", "250-{}", "250 8BITMIME"], ["250-lab.example", "250 8BITMIME"]), "HELO": (["250 lab.example"],) * 2},
             "STARTTLS", "220 go ahead", "454 TLS not available", "502 command not implemented"),
    "imap": ("* OK [CAPABILITY IMAP4rev1] panel", {"CAPABILITY": (["* CAPABILITY IMAP4rev1 {}", "@ OK done"], ["* CAPABILITY IMAP4rev1 AUTH=PLAIN", "@ OK done"])},
             "STARTTLS", "@ OK begin", "@ NO not now", "@ BAD unknown command"),
    "pop3": ("+OK panel", {"CAPA": (["+OK", "USER", "{}", "."], ["+OK", "USER", "."])}, "STLS", "+OK begin", "-ERR not now", "-ERR unknown command"),
    "ftp": ("220 panel", {"FEAT": (["211-Features:", " {}", "211 End"], ["211-Features:", " UTF8", "211 End"])}, "AUTH TLS", "234 begin", "431 not now",
            "500 unknown command"),
    "nntp": ("200 panel", {"CAPABILITIES": (["101 list", "VERSION 2", "READER", "{}", "."], ["101 list", "VERSION 2", "READER", "."])}, "STARTTLS", "382 continue",
             "580 can not initiate TLS", "500 unknown command"),
}


def talk(connection, given, context):
    greeting, capabilities, command, ahead, refusal, unknown = PROTOCOLS[given["protocol"]]
    mode = given["mode"]
    connection.settimeout(SECONDS)
    file = connection.makefile("rb", buffering=0)
    connection.sendall(greeting.encode() + b"\r\n")
    while True:
        # Byte by byte: what follows STARTTLS belongs to TLS.
        line = file.readline(1000)
        if not line:
            return
        text = line.decode("latin-1").strip()
        tag, _, rest = text.partition(" ") if given["protocol"] == "imap" else ("", "", text)
        word = rest.upper()
        verb = word.split(" ")[0]
        if verb in capabilities:
            announced = mode in ("offer", "refuse", "lie", "strip")
            answer = [a.format(STRIPPED if mode == "strip" else command) for a in capabilities[verb][0 if announced else 1]]
        elif verb in ("QUIT", "LOGOUT"):
            return
        elif word == command and mode in ("offer", "lie"):
            connection.sendall(ahead.replace("@", tag).encode() + b"\r\n")
            if mode == "offer":
                with context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(4096)
                return
            continue
        elif word == command and mode == "refuse":
            answer = [refusal]
        else:
            answer = [unknown]
        connection.sendall("".join(a.replace("@", tag) + "\r\n" for a in answer).encode())


def serve(connection, given, context):
    try:
        talk(connection, given, context)
    except OSError:
        pass
    finally:
        connection.close()


def listen(given):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(given["cert"], given["key"])
    listener = socket.create_server(("127.0.0.1", given["port"]), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, given, context), daemon=True).start()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        for given in json.load(file):
            threading.Thread(target=listen, args=(given,)).start()


if __name__ == "__main__":
    main()
