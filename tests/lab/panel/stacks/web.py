"""Web servers and TLS proxies of Debian 12: nginx, Apache, lighttpd with each of its TLS modules, h2o, HAProxy, stunnel, Hitch."""
import signal

OPENSSL = "OpenSSL 3.0"
HSTS = "max-age=63072000; includeSubDomains; preload"


def start(panel):
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    nginx(panel, rsa, ec)
    apache(panel, rsa, ec)
    lighttpd(panel, rsa)
    h2o(panel, rsa)
    haproxy(panel, rsa, ec)
    stunnel(panel, rsa)
    hitch(panel, rsa)


def nginx(panel, rsa, ec):
    """One process, a port for each configuration."""
    folder = panel.directory("nginx")
    servers = []

    def add(name, truth, text, certificates=(rsa,), host="127.0.0.1"):
        port = panel.port()
        listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        pairs = "".join(f"ssl_certificate {c.bundle}; ssl_certificate_key {c.key}; " for c in certificates)
        servers.append(f"server {{ listen {listen} ssl; server_name lab.example; {pairs}{text} return 200 panel; }}")
        panel.endpoint(name, port, f"{OPENSSL} (nginx 1.22)", host=host, **truth)
        return port

    weak = "ssl_ciphers ALL:COMPLEMENTOFALL:@SECLEVEL=0; "
    add("nginx-modern", {"versions": ["TLSv1.3"], "hsts": HSTS}, f'ssl_protocols TLSv1.3; add_header Strict-Transport-Security "{HSTS}" always;')
    add("nginx-intermediate", {"versions": ["TLSv1.2", "TLSv1.3"], "hsts": "max-age=300"},
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM; ssl_prefer_server_ciphers on; ssl_session_tickets off; "
        f'ssl_session_cache shared:a:1m; ssl_dhparam {panel.dh(2048)}; add_header Strict-Transport-Security "max-age=300";', (rsa, ec))
    add("nginx-old", {"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]},
        f"ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; {weak}ssl_dhparam {panel.dh(1024)};")
    add("nginx-tls10-only", {"versions": ["TLSv1.0"]}, "ssl_protocols TLSv1; ssl_ciphers AES128-SHA:@SECLEVEL=0;")
    add("nginx-gap", {"versions": ["TLSv1.0", "TLSv1.2"]}, "ssl_protocols TLSv1 TLSv1.2; ssl_ciphers HIGH:@SECLEVEL=0;")
    add("nginx-x25519-only", {"versions": ["TLSv1.2", "TLSv1.3"]}, "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519; ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;")
    add("nginx-p521-x448", {"versions": ["TLSv1.3"]}, "ssl_protocols TLSv1.3; ssl_ecdh_curve secp521r1:X448; ssl_conf_command Ciphersuites TLS_AES_128_CCM_8_SHA256:TLS_AES_128_CCM_SHA256;")
    add("nginx-client-certificate-optional", {"versions": ["TLSv1.2"], "client_certificate": "requested"},
        f"ssl_protocols TLSv1.2; ssl_verify_client optional; ssl_client_certificate {panel.pki.ca_file};")
    add("nginx-null", {"versions": ["TLSv1.2"]}, "ssl_protocols TLSv1.2; ssl_ciphers NULL:@SECLEVEL=0;")
    add("nginx-ipv6", {"versions": ["TLSv1.2", "TLSv1.3"]}, "ssl_protocols TLSv1.2 TLSv1.3;", host="::1")
    port = panel.port()
    servers.append(f"server {{ listen 127.0.0.1:{port}; return 301 https://lab.example/; }}")
    panel.endpoint("nginx-redirect", port, "nginx 1.22", no_tls_reason="plaintext", https_redirect=True)
    # Whoever asks for another name is turned away before any certificate is shown.
    port = panel.port()
    servers.append(f"server {{ listen 127.0.0.1:{port} ssl default_server; ssl_protocols TLSv1.2 TLSv1.3; ssl_reject_handshake on; }}")
    servers.append(f"server {{ listen 127.0.0.1:{port} ssl; server_name lab.example; ssl_certificate {ec.bundle}; ssl_certificate_key {ec.key}; return 200 panel; }}")
    panel.endpoint("nginx-sni-required", port, f"{OPENSSL} (nginx 1.22)", versions=["TLSv1.2", "TLSv1.3"])
    panel.endpoint("nginx-sni-required-unnamed", port, f"{OPENSSL} (nginx 1.22)", sni="", no_tls_reason="alert")
    config = panel.text("nginx/nginx.conf", f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{ worker_connections 1024; }}\nhttp {{ access_log off; "
                        + "".join(f"{n}_temp_path {folder}/{n}; " for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) + "\n" + "\n".join(servers) + "\n}\n")
    panel.spawn("nginx", ["nginx", "-p", folder, "-c", config, "-e", f"{folder}/error.log"])


def apache(panel, rsa, ec):
    folder = panel.directory("apache")
    modules = "/usr/lib/apache2/modules"
    hosts, ports = [], []

    def add(name, truth, text, certificates=(rsa,)):
        port = panel.port()
        ports.append(port)
        pairs = "".join(f"SSLCertificateFile {c.bundle}\nSSLCertificateKeyFile {c.key}\n" for c in certificates)
        hosts.append(f"<VirtualHost 127.0.0.1:{port}>\nServerName lab.example\nSSLEngine on\n{pairs}{text}\n</VirtualHost>\n")
        panel.endpoint(name, port, f"{OPENSSL} (Apache 2.4)", **truth)

    add("apache-default", {"versions": ["TLSv1.2", "TLSv1.3"]}, "SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1\nSSLCipherSuite HIGH:!aNULL", (rsa, ec))
    add("apache-tls11-up", {"versions": ["TLSv1.1", "TLSv1.2"], "hsts": "max-age=0"}, "SSLProtocol -all +TLSv1.1 +TLSv1.2\nSSLCipherSuite AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0\n"
        'SSLHonorCipherOrder on\nHeader always set Strict-Transport-Security "max-age=0"')
    add("apache-client-certificate", {"versions": ["TLSv1.2", "TLSv1.3"], "client_certificate": "required"}, f"SSLProtocol +TLSv1.2 +TLSv1.3\nSSLVerifyClient require\nSSLCACertificateFile {panel.pki.ca_file}")
    load = "".join(f"LoadModule {m}_module {modules}/mod_{m}.so\n" for m in ("mpm_event", "authz_core", "ssl", "socache_shmcb", "headers", "alias"))
    config = panel.text("apache/httpd.conf", f"ServerRoot {folder}\nServerName lab.example\nPidFile {folder}/pid\nErrorLog {folder}/error.log\nDefaultRuntimeDir {folder}\n{load}"
                        "SSLSessionCache none\nUser www-data\nGroup www-data\nStartServers 1\nThreadsPerChild 16\nMaxRequestWorkers 16\nServerLimit 1\nRedirect 404 /\n"
                        + "".join(f"Listen 127.0.0.1:{p}\n" for p in ports) + "".join(hosts))
    panel.spawn("apache", ["apache2", "-f", config, "-DFOREGROUND"])


def lighttpd(panel, rsa):
    """The same server on five TLS libraries."""
    for module, stack, truth in (("openssl", OPENSSL, ["TLSv1.2", "TLSv1.3"]), ("gnutls", "GnuTLS 3.7", ["TLSv1.2", "TLSv1.3"]), ("mbedtls", "mbed TLS 2.28", ["TLSv1.2"]),
                                 ("nss", "NSS 3.87", ["TLSv1.2", "TLSv1.3"]), ("wolfssl", "wolfSSL 5.5", ["TLSv1.2", "TLSv1.3"])):
        port = panel.port()
        config = panel.text(f"lighttpd-{module}/lighttpd.conf", f"""server.modules = ("mod_{module}")
server.document-root = "{panel.directory(f'lighttpd-{module}')}"
server.bind = "127.0.0.1"
server.port = {port}
ssl.engine = "enable"
ssl.pemfile = "{rsa.bundle}"
ssl.privkey = "{rsa.pkcs8}"
""")
        panel.spawn(f"lighttpd-{module}", ["lighttpd", "-D", "-f", config])
        panel.endpoint(f"lighttpd-{module}", port, f"{stack} (lighttpd 1.4.69)", versions=truth)


def h2o(panel, rsa):
    port, folder = panel.port(), panel.directory("h2o")
    config = panel.text("h2o/h2o.conf", f"""listen:
  host: 127.0.0.1
  port: {port}
  ssl:
    certificate-file: {rsa.bundle}
    key-file: {rsa.key}
    minimum-version: TLSv1.2
    neverbleed: OFF
user: root
num-threads: 1
pid-file: {folder}/pid
error-log: {folder}/error.log
hosts:
  "lab.example":
    paths:
      "/":
        file.dir: {folder}
""")
    panel.spawn("h2o", ["h2o", "-m", "worker", "-c", config])
    panel.endpoint("h2o", port, f"{OPENSSL} (h2o 2.2)", versions=["TLSv1.2", "TLSv1.3"])


def haproxy(panel, rsa, ec):
    ports = [panel.port() for _ in range(3)]
    config = panel.text("haproxy/haproxy.cfg", f"""global
  maxconn 200
  nbthread 1
defaults
  mode http
  timeout client 20s
  timeout connect 5s
  timeout server 5s
frontend modern
  bind 127.0.0.1:{ports[0]} ssl crt {ec.both} ssl-min-ver TLSv1.2 alpn h2,http/1.1 curves X25519:P-256 ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305
  http-request return status 200 content-type text/plain string panel hdr Strict-Transport-Security max-age=31536000
frontend strict
  bind 127.0.0.1:{ports[1]} ssl crt {rsa.both} strict-sni no-tls-tickets ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2 ciphers AES256-SHA:AES128-SHA256:@SECLEVEL=0 prefer-client-ciphers
  http-request return status 200 content-type text/plain string panel
frontend narrow
  bind 127.0.0.1:{ports[2]} ssl crt {rsa.both} ssl-min-ver TLSv1.2
  maxconn 2
  http-request return status 200 content-type text/plain string panel
""")
    panel.spawn("haproxy", ["haproxy", "-db", "-f", config])
    stack = f"{OPENSSL} (HAProxy 2.6)"
    panel.endpoint("haproxy-modern", ports[0], stack, versions=["TLSv1.2", "TLSv1.3"], hsts="max-age=31536000")
    panel.endpoint("haproxy-strict-sni", ports[1], stack, versions=["TLSv1.0", "TLSv1.1", "TLSv1.2"])
    panel.endpoint("haproxy-strict-sni-unnamed", ports[1], stack, sni="", no_tls_reason="alert")
    panel.endpoint("haproxy-two-at-a-time", ports[2], stack, versions=["TLSv1.2", "TLSv1.3"], serial=True)


def stunnel(panel, rsa):
    ports = [panel.port(), panel.port()]
    config = panel.text("stunnel/stunnel.conf", f"""foreground = yes
pid =
[one]
accept = 127.0.0.1:{ports[0]}
connect = 127.0.0.1:{ports[1]}
cert = {rsa.bundle}
key = {rsa.key}
sslVersionMin = TLSv1.2
sslVersionMax = TLSv1.2
ciphers = DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-SHA
options = CIPHER_SERVER_PREFERENCE
""")
    panel.spawn("stunnel", ["stunnel4", config])
    panel.endpoint("stunnel-dhe", ports[0], f"{OPENSSL} (stunnel 5.68)", versions=["TLSv1.2"])


def hitch(panel, rsa):
    port = panel.port()
    config = panel.text("hitch/hitch.conf", f"""frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{port + 0}"
pem-file = "{rsa.both}"
tls-protos = TLSv1.2
ciphers = "AES128-GCM-SHA256:AES256-GCM-SHA384"
prefer-server-ciphers = off
workers = 1
user = "nobody"
group = "nogroup"
""")
    panel.spawn("hitch", ["hitch", "--config", config])
    panel.endpoint("hitch-static-rsa", port, f"{OPENSSL} (Hitch 1.7)", versions=["TLSv1.2"])
