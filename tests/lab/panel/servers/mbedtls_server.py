"""mbed TLS by python-mbedtls: mbedtls_server.py PORT CERT KEY"""
import socket
import sys
import threading

from mbedtls import pk, tls, x509

SECONDS = 20


class Ending(socket.socket):
    """A socket whose end is an error: python-mbedtls would read on for ever."""

    def recv(self, size, flags=0):
        data = super().recv(size, flags)
        if not data:
            raise ConnectionResetError
        return data


def serve(context, connection):
    connection = Ending(fileno=connection.detach())
    connection.settimeout(SECONDS)
    wrapped = context.wrap_socket(connection)
    try:
        wrapped.do_handshake()
        wrapped.recv(4096)
        wrapped.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n")
    except Exception:  # What a client does wrong ends its connection only.
        pass
    finally:
        connection.close()


def main():
    port, cert, key = sys.argv[1:]
    with open(cert, encoding="ascii") as file:
        leaf, issuer = [x509.CRT.from_PEM(p + "-----END CERTIFICATE-----\n") for p in file.read().split("-----END CERTIFICATE-----\n") if p.strip()]
    with open(key, encoding="ascii") as file:
        private = pk.RSA.from_PEM(file.read())
    # Without DH parameters it would choose DHE suites and then hang up.
    ciphers = [c for c in tls.ciphers_available() if "DHE-" not in c.replace("ECDHE-", "")]
    configuration = tls.TLSConfiguration(certificate_chain=([leaf, issuer], private), validate_certificates=False, ciphers=ciphers)
    context = tls.ServerContext(configuration)
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(context, connection), daemon=True).start()


if __name__ == "__main__":
    main()
