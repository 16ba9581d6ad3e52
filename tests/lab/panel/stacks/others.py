"""One or two endpoints of each further stack: JSSE, Erlang, Botan, mbed TLS, rustls, Go."""
import pki


def start(panel):
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    jsse(panel, rsa)
    erlang(panel, rsa)
    botan(panel, ec)
    rustls(panel, ec)
    go(panel, ec)
    mbedtls(panel, rsa)


def jsse(panel, certificate):
    """OpenJDK 17; what its policy disables by default is switched on for one."""
    store = panel.folder / "jsse.p12"
    pki.run("openssl", "pkcs12", "-export", "-in", certificate.bundle, "-inkey", certificate.key, "-out", store, "-passout", "pass:panel1", "-name", "panel")
    ports = [panel.port() for _ in range(3)]
    source = panel.server("Jsse.java")
    panel.spawn("jsse-old", ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", source, "old", store, f"{ports[0]},*,*,none,server", f"{ports[1]},TLSv1.2,default,required,client"])
    panel.spawn("jsse", ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", source, "new", store, f"{ports[2]},default,default,requested,server"])
    panel.endpoint("jsse-all", ports[0], "JSSE of OpenJDK 17", versions=["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"])
    panel.endpoint("jsse-client-certificate", ports[1], "JSSE of OpenJDK 17", versions=["TLSv1.2"], client_certificate="required")
    panel.endpoint("jsse-default", ports[2], "JSSE of OpenJDK 17", versions=["TLSv1.2", "TLSv1.3"], client_certificate="requested")


def erlang(panel, certificate):
    ports = [panel.port() for _ in range(2)]
    panel.spawn("erlang", ["escript", panel.server("erlang.escript"), f"{ports[0]},{certificate.bundle},{certificate.key},tlsv1+tlsv1.1+tlsv1.2",
                           f"{ports[1]},{certificate.bundle},{certificate.key},tlsv1.2+tlsv1.3"])
    panel.endpoint("erlang-old", ports[0], "Erlang/OTP 25 ssl", versions=["TLSv1.0", "TLSv1.1", "TLSv1.2"])
    panel.endpoint("erlang-new", ports[1], "Erlang/OTP 25 ssl", versions=["TLSv1.2", "TLSv1.3"])


def botan(panel, certificate):
    port = panel.port()
    panel.spawn("botan", ["botan", "tls_server", certificate.bundle, certificate.pkcs8, f"--port={port}"])
    panel.endpoint("botan", port, "Botan 2.19", versions=["TLSv1.2"], serial=True)


def rustls(panel, certificate):
    port = panel.port()
    app = panel.text("rustls/app.py", "async def app(scope, receive, send):\n    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
                                      "    await send({'type': 'http.response.body', 'body': b'panel'})\n")
    panel.spawn("rustls", [panel.programs.granian, "--interface", "asgi", "--host", "127.0.0.1", "--port", port, "--ssl-certificate", certificate.bundle,
                           "--ssl-keyfile", certificate.pkcs8, "--no-ws", "app:app"], cwd=app.rsplit("/", 1)[0])
    panel.endpoint("rustls", port, "rustls (granian 2.8)", versions=["TLSv1.3"])


def go(panel, certificate):
    ports = [panel.port() for _ in range(2)]
    config = panel.text("caddy/Caddyfile", f"""{{
  admin off
  auto_https off
  persist_config off
}}
https://:{ports[0]} {{
  bind 127.0.0.1
  tls {certificate.bundle} {certificate.key}
  header Strict-Transport-Security "max-age=31536000; includeSubDomains"
  respond "panel"
}}
https://:{ports[1]} {{
  bind 127.0.0.1
  tls {certificate.bundle} {certificate.key} {{
    protocols tls1.3
    curves x25519mlkem768
  }}
  respond "panel"
}}
""")
    panel.spawn("go", [panel.programs.caddy, "run", "--config", config, "--adapter", "caddyfile"], env={"HOME": str(panel.directory("caddy")), "XDG_DATA_HOME": str(panel.directory("caddy"))})
    panel.endpoint("go-default", ports[0], "Go crypto/tls (Caddy 2.11)", versions=["TLSv1.2", "TLSv1.3"], hsts="max-age=31536000; includeSubDomains")
    panel.endpoint("go-x25519mlkem768-only", ports[1], "Go crypto/tls (Caddy 2.11)", versions=["TLSv1.3"])


def mbedtls(panel, certificate):
    port = panel.port()
    panel.spawn("mbedtls", [panel.programs.python, panel.server("mbedtls_server.py"), port, certificate.bundle, certificate.key])
    panel.endpoint("mbedtls", port, "mbed TLS 2.28 (python-mbedtls 2.10)", versions=["TLSv1.0", "TLSv1.1", "TLSv1.2"], client_certificate="requested")
