"""Servers that begin in plaintext: mail, directory, databases, chat, files, news and desktops."""
import signal

OPENSSL = "OpenSSL 3.0"


def start(panel):
    rsa, ec = panel.certificate("rsa"), panel.certificate("ec", key="p256")
    postfix(panel, rsa)
    dovecot(panel, ec)
    vsftpd(panel, rsa)
    slapd(panel, rsa)
    postgresql(panel, ec)
    mariadb(panel, rsa)
    prosody(panel, rsa)
    xrdp(panel, rsa)
    talkers(panel, rsa)


def as_user(user, *command):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]


def postfix(panel, rsa):
    """Opportunistic TLS: Postfix offers anonymous suites beside its certificate."""
    folder = panel.directory("postfix")
    ports = [panel.port() for _ in range(3)]
    for name in ("spool", "data", "etc"):
        panel.directory(f"postfix/{name}")
    panel.text("postfix/etc/main.cf", f"""compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = lab.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = {folder}/spool/log
maillog_file_prefixes = {folder}
alias_maps =
local_recipient_maps =
smtpd_tls_chain_files = {rsa.both}
smtpd_tls_security_level = may
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_protocols = >=TLSv1.2
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
""")
    panel.text("postfix/etc/master.cf", f"""{ports[0]} inet n - n - - smtpd
{ports[1]} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_mandatory_protocols=TLSv1.2
  -o smtpd_tls_mandatory_ciphers=high
  -o smtpd_tls_exclude_ciphers=aNULL,SHA1
{ports[2]} inet n - n - - smtpd
  -o smtpd_tls_security_level=none
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
""")
    panel.spawn("postfix", ["sh", "-ec", f"chown postfix {folder}/data && postfix -c {folder}/etc check && MAIL_CONFIG={folder}/etc exec /usr/lib/postfix/sbin/master -c {folder}/etc -d"])
    stack = f"{OPENSSL} (Postfix 3.7)"
    panel.endpoint("postfix-opportunistic", ports[0], stack, starttls="smtp", versions=["TLSv1.2", "TLSv1.3"])
    panel.endpoint("postfix-required", ports[1], stack, starttls="smtp", versions=["TLSv1.2"], starttls_policy="required")
    panel.endpoint("postfix-without", ports[2], "Postfix 3.7", starttls="smtp", no_tls_reason="starttls-absent")


def dovecot(panel, ec):
    folder = panel.directory("dovecot")
    imap, imaps, pop3, sieve, lmtp = (panel.port() for _ in range(5))

    def service(name, listener, port, tls=False):
        return f"service {name} {{\n inet_listener {listener} {{\n port = {port}\n ssl = {'yes' if tls else 'no'}\n }}\n}}\n"

    config = panel.text("dovecot/dovecot.conf", f"""base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3 lmtp sieve
listen = 127.0.0.1
mail_location = maildir:{folder}/mail
disable_plaintext_auth = yes
ssl = yes
ssl_cert = <{ec.bundle}
ssl_key = <{ec.key}
ssl_min_protocol = TLSv1.2
passdb {{
 driver = static
 args = password=x
}}
userdb {{
 driver = static
 args = uid=nobody gid=nogroup home={folder}
}}
""" + f"service imap-login {{\n inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n"
        f"service pop3-login {{\n inet_listener pop3 {{\n port = {pop3}\n }}\n inet_listener pop3s {{\n port = 0\n }}\n}}\n"
        f"service managesieve-login {{\n inet_listener sieve {{\n port = {sieve}\n }}\n}}\n"
        f"service lmtp {{\n inet_listener lmtp {{\n port = {lmtp}\n }}\n}}\n")
    panel.spawn("dovecot", ["/usr/sbin/dovecot", "-F", "-c", config])
    both = ["TLSv1.2", "TLSv1.3"]
    for name, port, protocol in (("imap", imap, "imap"), ("imaps", imaps, ""), ("pop3", pop3, "pop3"), ("sieve", sieve, "managesieve"), ("lmtp", lmtp, "lmtp")):
        panel.endpoint(f"dovecot-{name}", port, f"{OPENSSL} (Dovecot 2.3)", starttls=protocol, versions=both)


def vsftpd(panel, rsa):
    port = panel.port()
    config = panel.text("vsftpd/vsftpd.conf", f"""listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
seccomp_sandbox=NO
anonymous_enable=NO
local_enable=YES
ssl_enable=YES
ssl_tlsv1=YES
ssl_sslv2=NO
ssl_sslv3=NO
force_local_logins_ssl=YES
require_ssl_reuse=NO
ssl_ciphers=ECDHE-RSA-AES256-GCM-SHA384
rsa_cert_file={rsa.bundle}
rsa_private_key_file={rsa.key}
secure_chroot_dir={panel.directory('vsftpd/empty')}
""")
    panel.spawn("vsftpd", ["/usr/sbin/vsftpd", config])
    panel.endpoint("vsftpd-required", port, f"{OPENSSL} (vsftpd 3.0.3)", starttls="ftp", versions=["TLSv1.2", "TLSv1.3"], starttls_policy="required", client_certificate="requested")


def slapd(panel, rsa):
    folder = panel.directory("slapd")
    panel.directory("slapd/db")
    ldap, ldaps = panel.port(), panel.port()
    config = panel.text("slapd/slapd.conf", f"""include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCertificateFile {rsa.bundle}
TLSCertificateKeyFile {rsa.pkcs8}
TLSCACertificateFile {panel.pki.ca_file}
TLSCipherSuite NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3
database mdb
suffix dc=lab,dc=example
directory {folder}/db
""")
    panel.spawn("slapd", ["/usr/sbin/slapd", "-d", "0", "-f", config, "-h", f"ldap://127.0.0.1:{ldap}/ ldaps://127.0.0.1:{ldaps}/"])
    stack = "GnuTLS 3.7 (OpenLDAP 2.5)"
    panel.endpoint("slapd-starttls", ldap, stack, starttls="ldap", versions=["TLSv1.2", "TLSv1.3"])
    panel.endpoint("slapd-ldaps", ldaps, stack, versions=["TLSv1.2", "TLSv1.3"])


def postgresql(panel, ec):
    folder, port = panel.directory("postgresql"), panel.port()
    script = f"""set -e
chown postgres {folder}; bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
run() {{ setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }}
run $bin/initdb -N -A trust -U postgres --locale=C -D {folder}/data >/dev/null
install -o postgres -m 600 {ec.bundle} {folder}/data/server.crt
install -o postgres -m 600 {ec.key} {folder}/data/server.key
echo 'hostssl all all 127.0.0.1/32 scram-sha-256' > {folder}/data/pg_hba.conf
exec setpriv --reuid=postgres --regid=postgres --clear-groups $bin/postgres -D {folder}/data -p {port} -k {folder} -c ssl=on -c listen_addresses=127.0.0.1 \
 -c ssl_min_protocol_version=TLSv1.2 -c ssl_ciphers=ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256 -c ssl_ecdh_curve=secp384r1 -c fsync=off
"""
    panel.spawn("postgresql", ["sh", "-c", script], stop=signal.SIGINT)
    panel.endpoint("postgresql", port, f"{OPENSSL} (PostgreSQL 15)", starttls="postgresql", versions=["TLSv1.2", "TLSv1.3"], starttls_policy="required")


def mariadb(panel, rsa):
    folder, port = panel.directory("mariadb"), panel.port()
    panel.directory("mariadb/data")
    script = f"""set -e
chown mysql {folder} {folder}/data
mariadb-install-db --no-defaults --user=mysql --skip-test-db --auth-root-authentication-method=normal --datadir={folder}/data >/dev/null
exec /usr/sbin/mariadbd --no-defaults --user=mysql --bind-address=127.0.0.1 --innodb-buffer-pool-size=8M --innodb-log-file-size=4M --datadir={folder}/data \
 --socket={folder}/s --port={port} --ssl-cert={rsa.bundle} --ssl-key={rsa.key} --tls-version=TLSv1.2 --max-connect-errors=1000000 \
 --ssl-cipher=DHE-RSA-AES256-GCM-SHA384:AES128-SHA
"""
    panel.spawn("mariadb", ["sh", "-c", script])
    panel.endpoint("mariadb", port, f"{OPENSSL} (MariaDB 10.11)", starttls="mysql", versions=["TLSv1.2"], client_certificate="requested")


def prosody(panel, rsa):
    folder = panel.directory("prosody")
    client, server = panel.port(), panel.port()
    config = panel.text("prosody/prosody.cfg.lua", f"""pidfile = "{folder}/pid"
data_path = "{folder}"
run_as_root = true
daemonize = false
log = {{ error = "{folder}/log" }}
modules_enabled = {{ "tls", "saslauth", "dialback" }}
modules_disabled = {{ "offline" }}
authentication = "internal_hashed"
c2s_ports = {{ {client} }}
s2s_ports = {{ {server} }}
interfaces = {{ "127.0.0.1" }}
c2s_require_encryption = true
s2s_require_encryption = false
ssl = {{ certificate = "{rsa.bundle}", key = "{rsa.key}", protocol = "tlsv1_2+" }}
VirtualHost "lab.example"
""")
    panel.spawn("prosody", ["prosody", "--config", config], stop=signal.SIGTERM)
    panel.endpoint("prosody-client", client, f"{OPENSSL} (Prosody 0.12, LuaSec)", starttls="xmpp", versions=["TLSv1.2", "TLSv1.3"], starttls_policy="required")


def xrdp(panel, rsa):
    folder, port = panel.directory("xrdp"), panel.port()
    config = panel.text("xrdp/xrdp.ini", f"""[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:{port}
security_layer=tls
certificate={rsa.bundle}
key_file={rsa.key}
ssl_protocols=TLSv1.2, TLSv1.3
tls_ciphers=HIGH
[Logging]
LogFile={folder}/log
LogLevel=ERROR
[Xorg]
name=Xorg
lib=libxup.so
""")
    panel.spawn("xrdp", ["xrdp", "--nodaemon", "--config", config])
    panel.endpoint("xrdp", port, f"{OPENSSL} (xrdp 0.9)", starttls="rdp", versions=["TLSv1.2", "TLSv1.3"])


def talkers(panel, rsa):
    """The protocols of servers/talker.py, whose TLS is Python's OpenSSL."""
    import json

    both, given = ["TLSv1.2", "TLSv1.3"], []
    for name, protocol, mode, truth in (
        ("nntp-starttls", "nntp", "offer", {"versions": both}),
        ("smtp-refuses", "smtp", "refuse", {"no_tls_reason": "starttls-stripped"}),
        ("smtp-stripped", "smtp", "strip", {"no_tls_reason": "starttls-stripped"}),
        ("imap-without", "imap", "absent", {"no_tls_reason": "starttls-absent"}),
        ("pop3-without", "pop3", "absent", {"no_tls_reason": "starttls-absent"}),
        ("ftp-without", "ftp", "absent", {"no_tls_reason": "starttls-absent"}),
        ("smtp-lies", "smtp", "lie", {"no_tls_reason": "plaintext"}),
    ):
        port = panel.port()
        given.append({"port": port, "protocol": protocol, "mode": mode, "cert": rsa.bundle, "key": rsa.key})
        panel.endpoint(name, port, f"{OPENSSL} (Python)" if mode == "offer" else "none (Python)", starttls=protocol, **truth)
    config = panel.text("talker/config.json", json.dumps(given))
    panel.spawn("talker", ["/usr/bin/python3", panel.server("talker.py"), config])
