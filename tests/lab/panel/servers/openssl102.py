"""Servers of the OpenSSL 1.0.2e that PyPI's nassl carries: openssl102.py LIBRARY CONFIG.json

The library is driven by ctypes; each connection is served by a process of its own.
"""
import ctypes
import json
import os
import selectors
import signal
import socket
import sys

FILETYPE_PEM = 1
CTRL_SET_TMP_RSA, CTRL_SET_TMP_DH, CTRL_SET_ECDH_AUTO, CTRL_OPTIONS, CTRL_SESS_CACHE, CTRL_MODE = 2, 3, 94, 32, 44, 33
MODE_AUTO_RETRY = 4
OP = {
    "NO_SSLv2": 0x01000000, "NO_SSLv3": 0x02000000, "NO_TLSv1": 0x04000000, "NO_TLSv1_1": 0x10000000, "NO_TLSv1_2": 0x08000000,
    "NO_COMPRESSION": 0x00020000, "CIPHER_SERVER_PREFERENCE": 0x00400000, "NO_TICKET": 0x00004000, "UNSAFE_RENEGOTIATION": 0x00040000,
    "SINGLE_DH_USE": 0x00100000, "SINGLE_ECDH_USE": 0x00080000,
}
SECONDS = 20
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n"


def library(path):
    """The extension module; its Python symbols are never called."""
    ssl = ctypes.CDLL(path, mode=os.RTLD_LAZY)
    for name in ("SSL_CTX_new", "SSL_new", "SSLv23_server_method", "SSLv2_server_method", "SSLv3_server_method", "BIO_new_file", "PEM_read_bio_DHparams",
                 "RSA_new", "BN_new"):
        getattr(ssl, name).restype = ctypes.c_void_p
    ssl.SSL_library_init()
    ssl.SSL_load_error_strings()
    return ssl


def pointer(value):
    return ctypes.c_void_p(value)


def context(ssl, given):
    """A context from `method`, `ciphers`, `certs` ([cert, key]…), `dh` (PEM), `tmp_rsa` (bits), `options`."""
    ctx = pointer(ssl.SSL_CTX_new(pointer(getattr(ssl, given.get("method", "SSLv23") + "_server_method")())))
    # All old workarounds of SSL_OP_ALL would break the CBC countermeasure: only what is named.
    options = sum(OP[o] for o in given.get("options", [])) | OP["SINGLE_DH_USE"]
    ssl.SSL_CTX_ctrl(ctx, CTRL_OPTIONS, ctypes.c_long(options), None)
    ssl.SSL_CTX_ctrl(ctx, CTRL_SESS_CACHE, ctypes.c_long(0 if given.get("no_cache") else 2), None)
    ssl.SSL_CTX_ctrl(ctx, CTRL_MODE, ctypes.c_long(MODE_AUTO_RETRY), None)
    for cert, key in given.get("certs", []):
        # SSL 2.0 sends one certificate, and its context takes no chain.
        alone = given.get("method") == "SSLv2"
        read = ssl.SSL_CTX_use_certificate_file(ctx, cert.encode(), FILETYPE_PEM) if alone else ssl.SSL_CTX_use_certificate_chain_file(ctx, cert.encode())
        if read != 1 or ssl.SSL_CTX_use_PrivateKey_file(ctx, key.encode(), FILETYPE_PEM) != 1:
            raise SystemExit(f"{cert} is refused")
    if ssl.SSL_CTX_set_cipher_list(ctx, given["ciphers"].encode()) != 1:
        raise SystemExit(f"{given['ciphers']} is refused")
    ssl.SSL_CTX_ctrl(ctx, CTRL_SET_ECDH_AUTO, ctypes.c_long(1), None)
    if "dh" in given:
        bio = pointer(ssl.BIO_new_file(given["dh"].encode(), b"r"))
        parameters = pointer(ssl.PEM_read_bio_DHparams(bio, None, None, None))
        if ssl.SSL_CTX_ctrl(ctx, CTRL_SET_TMP_DH, ctypes.c_long(0), parameters) != 1:
            raise SystemExit("DH parameters are refused")
    if "tmp_rsa" in given:
        key, exponent = pointer(ssl.RSA_new()), pointer(ssl.BN_new())
        ssl.BN_set_word(exponent, ctypes.c_ulong(65537))
        if ssl.RSA_generate_key_ex(key, given["tmp_rsa"], exponent, None) != 1 or ssl.SSL_CTX_ctrl(ctx, CTRL_SET_TMP_RSA, ctypes.c_long(0), key) != 1:
            raise SystemExit("the ephemeral RSA key is refused")
    return ctx


def serve(ssl, ctx, connection):
    """One connection to its end, in a child."""
    signal.alarm(SECONDS)
    handle = pointer(ssl.SSL_new(ctx))
    ssl.SSL_set_fd(handle, connection.fileno())
    if ssl.SSL_accept(handle) == 1:
        buffer = ctypes.create_string_buffer(16384)
        while ssl.SSL_read(handle, buffer, len(buffer)) > 0:
            ssl.SSL_write(handle, PAGE, len(PAGE))
            ssl.SSL_shutdown(handle)
            break
    os._exit(0)


def main():
    ssl = library(sys.argv[1])
    selector = selectors.DefaultSelector()
    with open(sys.argv[2], encoding="utf-8") as file:
        for given in json.load(file):
            listener = socket.create_server((given.get("host", "127.0.0.1"), given["port"]), backlog=128)
            selector.register(listener, selectors.EVENT_READ, context(ssl, given))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        for key, _ in selector.select():
            connection, _ = key.fileobj.accept()
            if os.fork() == 0:
                serve(ssl, key.data, connection)
            connection.close()


if __name__ == "__main__":
    main()
