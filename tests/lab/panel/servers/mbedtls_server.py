"""mbed TLS by python-mbedtls: mbedtls_server.py PORT CERT KEY"""
import socket
import sys
import threading

from mbedtls import pk, tls, x509

SECONDS = 20


def serve(context, connection):
    connection.settimeout(SECONDS)
    wrapped = context.wrap_socket(connection)
    try:
        while True:
            try:
                wrapped.do_handshake()
                break
            except (tls.WantReadError, tls.WantWriteError):
                # A client that has gone is wanted from for ever.
                if not connection.recv(1, socket.MSG_PEEK):
                    return
        wrapped.recv(4096)
        wrapped.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n")
    except Exception:  # What a client does wrong ends its connection only.
        pass
    finally:
        wrapped.close()


def main():
    port, cert, key = sys.argv[1:]
    with open(cert, encoding="ascii") as file:
        leaf, issuer = [x509.CRT.from_PEM(p + "-----END CERTIFICATE-----\n") for p in file.read().split("-----END CERTIFICATE-----\n") if p.strip()]
    with open(key, encoding="ascii") as file:
        private = pk.RSA.from_PEM(file.read())
    configuration = tls.TLSConfiguration(certificate_chain=([leaf, issuer], private), validate_certificates=False)
    context = tls.ServerContext(configuration)
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(context, connection), daemon=True).start()


if __name__ == "__main__":
    main()
