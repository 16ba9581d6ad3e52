"""Endpoints without TLS, each in its own way; servers that are slow or take few connections; SSL for nobody."""
import json


def start(panel):
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    given = []

    def add(name, habit, stack="Python", starttls="", **truth):
        port = panel.port()
        options = truth.pop("options", {})
        given.append({"port": port, "habit": habit, **options})
        panel.endpoint(name, port, stack, starttls=starttls, **truth)
        return port

    panel.endpoint("refused", panel.port(), "nobody", listens=False, no_tls_reason="refused")
    add("silent", "silent", no_tls_reason="silent")
    add("closes", "closes", no_tls_reason="closes")
    add("resets", "resets", no_tls_reason="closes")
    add("garbage", "garbage", no_tls_reason="garbage")
    add("alert-internal-error", "alert", options={"alert": 80}, no_tls_reason="alert")
    add("alert-unrecognized-name", "alert", options={"alert": 112}, no_tls_reason="alert")
    add("tarpit", "tarpit", no_tls_reason="tarpit")
    add("trickle", "trickle", starttls="smtp", no_tls_reason="tarpit")
    add("plaintext-ssh", "ssh", no_tls_reason="plaintext")
    add("plaintext-http", "http", no_tls_reason="plaintext")

    tls = panel.port()
    config = panel.text("behind/nginx.conf", f"""daemon off; pid {panel.directory('behind')}/pid; error_log {panel.directory('behind')}/error.log;
events {{}}
http {{ access_log off; client_body_temp_path {panel.directory('behind')}/1; proxy_temp_path {panel.directory('behind')}/2; fastcgi_temp_path {panel.directory('behind')}/3;
 uwsgi_temp_path {panel.directory('behind')}/4; scgi_temp_path {panel.directory('behind')}/5;
 server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {rsa.bundle}; ssl_certificate_key {rsa.key}; ssl_protocols TLSv1.2 TLSv1.3; return 200 panel; }} }}
""")
    panel.spawn("behind", ["nginx", "-p", panel.directory("behind"), "-c", config, "-e", panel.directory("behind") / "error.log"])
    stack = "OpenSSL 3.0 (nginx 1.22) behind a relay"
    add("slow", "slow", stack, options={"to": tls}, versions=["TLSv1.2", "TLSv1.3"])
    add("two-connections", "two", stack, options={"to": tls}, versions=["TLSv1.2", "TLSv1.3"], serial=True)

    # A real server without any usable certificate refuses every hello.
    port = panel.port()
    panel.spawn("no-certificate", ["openssl", "s_server", "-quiet", "-nocert", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-accept", f"127.0.0.1:{port}"])
    panel.endpoint("no-certificate", port, "OpenSSL 3.0 (s_server)", serial=True, no_tls_reason="alert")
    # One connection at a time: s_server serves the next when the last has ended.
    port = panel.port()
    panel.spawn("one-at-a-time", ["openssl", "s_server", "-quiet", "-www", "-cert", ec.cert, "-key", ec.key, "-cert_chain", ec.bundle, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256", "-accept", f"127.0.0.1:{port}"])
    panel.endpoint("one-at-a-time", port, "OpenSSL 3.0 (s_server)", serial=True, versions=["TLSv1.2"])

    config = panel.text("misbehave/config.json", json.dumps(given))
    panel.spawn("misbehave", ["/usr/bin/python3", panel.server("misbehave.py"), config])
