//! UDP sockets as a scan sees them: real servers, and sockets that misbehave.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use assay::facts::services::{Plan, Service, survey};
use assay::model::gap::{Gap, Gaps};
use assay::probe::Limits;
use serde_json::Value;

use crate::lab::udp::scan;
use crate::support::ASSAY;

/// What one scan said of services.
struct Told(Value);

impl Told {
    fn item(&self, subject: &str) -> &Value {
        let items = self.0["facts"]["services"]["items"].as_array().unwrap();
        items
            .iter()
            .find(|i| i["subject"] == subject)
            .unwrap_or_else(|| panic!("{subject} is not among {:#?}", items.iter().map(|i| &i["subject"]).collect::<Vec<_>>()))
    }

    /// Protocol, what is open, versions.
    fn seen(&self, subject: &str) -> (String, String, String) {
        let item = self.item(subject);
        let words = |name: &str| item[name].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect::<Vec<_>>().join(" ");
        (item["protocol"].as_str().unwrap().into(), words("open"), words("versions"))
    }

    fn verdict(&self, rule: &str, subject: &str) -> &str {
        let findings = self.0["findings"].as_array().unwrap();
        let found = findings.iter().find(|f| f["rule"] == rule && f["subject"] == subject);
        found.unwrap_or_else(|| panic!("no finding of {rule} on {subject}"))["verdict"].as_str().unwrap()
    }

    fn gaps(&self, subject: &str) -> Vec<&str> {
        let gaps = self.0["gaps"].as_array().unwrap();
        gaps.iter().filter(|g| g["family"] == "services" && g["subject"] == subject).map(|g| g["path"].as_str().unwrap()).collect()
    }
}

fn seen(protocol: &str, open: &str, versions: &str) -> (String, String, String) {
    (protocol.into(), open.into(), versions.into())
}

#[test]
fn snmp_and_ntp_answer_strangers_otherwise_than_loopback() {
    let servers = r#"
echo 'rocommunity public default' >open.conf
echo 'rocommunity public 127.0.0.1' >local.conf
echo 'rocommunity secret default' >secret.conf
snmpd -f -Lf open.log -C -c open.conf -p open.pid udp:0.0.0.0:20161 &
snmpd -f -Lf local.log -C -c local.conf -p local.pid udp:0.0.0.0:161 &
snmpd -f -Lf secret.log -C -c secret.conf -p secret.pid udp:0.0.0.0:20162 &
printf 'driftfile drift\nserver 127.127.1.0\nrestrict default kod nomodify nopeer noquery limited\nrestrict 127.0.0.1\n' >ntp.conf
ntpd -n -c ntp.conf -l ntp.log &
"#;
    let ready = "[ $(ss -Hlun sport = :123 or sport = :161 or sport = :20161 or sport = :20162 | grep -c -e 0.0.0.0: -e 10.9.8.7:) -ge 5 ]";
    let told = Told(scan(servers, ready, ASSAY, &["--family", "services"]));

    assert_eq!(told.seen("0.0.0.0:20161/udp"), seen("snmp", "community-public", "SNMPv1 SNMPv2c SNMPv3"));
    assert_eq!((told.verdict("service-snmp-public", "0.0.0.0:20161/udp"), told.verdict("service-snmp-plaintext", "0.0.0.0:20161/udp")), ("fail", "fail"));
    // Loopback may read, strangers may not; who knows other communities can't be told.
    for subject in ["0.0.0.0:161/udp", "0.0.0.0:20162/udp"] {
        assert_eq!(told.seen(subject), seen("snmp", "", "SNMPv3"));
        assert_eq!((told.verdict("service-snmp-public", subject), told.verdict("service-snmp-plaintext", subject)), ("pass", "unknown"), "{subject}");
        assert_eq!(told.gaps(subject), ["items.plaintext", "items.versions"]);
    }

    let loopback = told.seen("127.0.0.1:123/udp");
    assert_eq!(loopback, seen("ntp", "mode-6", "NTPv4"));
    let banner = told.item("127.0.0.1:123/udp")["banner"].as_str().unwrap().to_string();
    assert!(banner.contains("ntpsec") && banner.ends_with('"') && !banner.contains("leap"), "{banner}");
    // Whether it follows its own undisciplined clock yet does not matter here.
    assert!(told.item("127.0.0.1:123/udp")["clock"]["stratum"].is_u64());
    for subject in ["0.0.0.0:123/udp", "10.9.8.7:123/udp"] {
        assert_eq!(told.seen(subject), seen("ntp", "", "NTPv4"));
        assert_eq!(told.verdict("service-ntp-control", subject), "pass");
    }
    assert_eq!(told.verdict("service-ntp-control", "127.0.0.1:123/udp"), "not_applicable");
}

#[test]
fn ntp_that_answers_everybody_is_found() {
    let servers = "printf 'driftfile drift\\nserver 127.127.1.0\\nunrestrict default noquery limited\\n' >ntp.conf\nntpd -n -c ntp.conf -l ntp.log &\n";
    let told = Told(scan(servers, "ss -Hlun sport = :123 | grep -q 10.9.8.7:", ASSAY, &["--family", "services"]));
    for subject in ["0.0.0.0:123/udp", "10.9.8.7:123/udp"] {
        assert_eq!(told.seen(subject).1, "mode-6");
        assert_eq!(told.verdict("service-ntp-control", subject), "fail");
    }
}

#[test]
fn resolvers_are_told_from_servers_of_their_own_names() {
    // One server knows the root; the others ask it, so that nothing has to be looked up elsewhere.
    let servers = r#"
printf '$TTL 60\n. IN SOA ns.root. x. 1 60 60 60 60\n. IN NS ns.root.\nns.root. IN A 127.0.0.1\n' >root.zone
common='directory "'$PWD'"; listen-on-v6 { none; }; dnssec-validation no;'
echo 'options { '$common' pid-file "a.pid"; listen-on port 20050 { 127.0.0.1; }; recursion no; }; zone "." { type primary; file "root.zone"; }; controls {};' >a.conf
echo 'options { '$common' pid-file "b.pid"; listen-on port 20051 { any; }; forward only; forwarders port 20050 { 127.0.0.1; }; }; controls {};' >b.conf
echo 'options { '$common' pid-file "c.pid"; listen-on port 20052 { any; }; recursion no; }; controls {};' >c.conf
for name in a b c; do named -g -c $name.conf >$name.log 2>&1 & done
printf 'server:\n interface: 0.0.0.0@20053\n chroot: ""\n username: ""\n directory: "%s"\n pidfile: "u.pid"\n use-syslog: no\n do-daemonize: no\n do-not-query-localhost: no\nstub-zone:\n name: "."\n stub-addr: 127.0.0.1@20050\nremote-control:\n control-enable: no\n' $PWD >unbound.conf
unbound -d -c unbound.conf >unbound.log 2>&1 &
dnsmasq -k -C /dev/null -R -S 127.0.0.1#20050 -p 20054 -u root --pid-file= --listen-address=0.0.0.0 --bind-interfaces >dnsmasq.log 2>&1 &
"#;
    let ready = "[ $(ss -Hlun | grep -c -e 10.9.8.7:2005[12] -e 0.0.0.0:20053 -e 0.0.0.0:20054 -e 127.0.0.1:20050) -ge 5 ]";
    let told = Told(scan(servers, ready, ASSAY, &["--family", "services"]));
    for transport in ["tcp", "udp"] {
        let subject = |text: &str| format!("{text}/{transport}");
        // Only another host could tell whether strangers are served, too.
        for open in [subject("10.9.8.7:20051"), subject("0.0.0.0:20054")] {
            assert_eq!(told.seen(&open), seen("dns", "recursion", ""), "{:#}", told.item(&open));
            assert_eq!(told.verdict("service-dns-recursion", &open), "unknown");
        }
        // Unbound serves loopback alone.
        for closed in [subject("0.0.0.0:20053"), subject("10.9.8.7:20052")] {
            assert_eq!(told.seen(&closed), seen("dns", "", ""), "{:#}", told.item(&closed));
            assert_eq!(told.verdict("service-dns-recursion", &closed), "pass");
        }
        assert_eq!(told.seen(&subject("127.0.0.1:20050")).1, "");
    }
    assert!(told.item("10.9.8.7:20051/udp")["banner"].as_str().unwrap().starts_with("9."));
}

#[test]
fn tftp_memcached_and_silent_sockets_are_told_apart() {
    let servers = r#"
mkdir files
in.tftpd -L --address 0.0.0.0:20069 -s $PWD/files &
dnsmasq -k -C /dev/null -R -p 0 --enable-tftp --tftp-root=$PWD/files -u root --pid-file= >dnsmasq.log 2>&1 &
memcached -u nobody -l 0.0.0.0 -p 21211 -U 21211 &
python3 -c '
import socket
def bound(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    return s
silent, sink, trap, echo = bound(20514), bound(514), bound(161), bound(20007)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("0.0.0.0", 20999))
client.connect(("10.9.8.7", 9))
while True:
    data, sender = echo.recvfrom(4096)
    echo.sendto(data, sender)
' &
"#;
    let ready = "[ $(ss -Hlun | grep -c -e :69 -e :20069 -e :21211 -e :20514 -e :20007 -e :161) -ge 6 ]";
    let told = Told(scan(servers, ready, ASSAY, &["--family", "services"]));
    for subject in ["0.0.0.0:20069/udp", "0.0.0.0:69/udp"] {
        assert_eq!(told.seen(subject).0, "tftp");
        assert_eq!(told.verdict("service-tftp", subject), "fail");
    }
    assert_eq!(told.seen("0.0.0.0:21211/udp"), seen("memcached", "commands", ""));
    assert_eq!(told.verdict("service-memcached-udp", "0.0.0.0:21211/udp"), "fail");
    // An echo answers every question with the question, which is no answer.
    assert_eq!(told.item("0.0.0.0:20007/udp")["outcome"], "unidentified");
    assert_eq!(told.verdict("service-unidentified-exposed", "0.0.0.0:20007/udp"), "fail");
    // Nobody asks what keeps what it hears, and a connected socket is no listener.
    assert_eq!(told.item("0.0.0.0:514/udp")["outcome"], "unasked");
    assert!(!told.0["facts"]["services"]["items"].as_array().unwrap().iter().any(|i| i["port"] == 20_999));

    // Silence is no gap for anything where nothing suggests anything; where something does, for that alone.
    assert_eq!(told.item("0.0.0.0:20514/udp")["outcome"], "silent");
    assert!(told.gaps("0.0.0.0:20514/udp").is_empty());
    assert_eq!(told.item("0.0.0.0:161/udp")["presumed"], "snmp");
    let unknown = |subject: &str| -> Vec<&str> {
        let findings = told.0["findings"].as_array().unwrap();
        findings.iter().filter(|f| f["subject"] == subject && f["verdict"] == "unknown").map(|f| f["rule"].as_str().unwrap()).collect()
    };
    // The program is of no package.
    assert_eq!(unknown("0.0.0.0:20514/udp"), ["service-unidentified-exposed"]);
    assert_eq!(unknown("0.0.0.0:161/udp"), ["service-snmp-plaintext", "service-snmp-public", "service-unidentified-exposed"]);
}

#[test]
fn nfs_exports_are_seen_with_their_security() {
    let servers = r#"
mkdir open strict; mount -t tmpfs none /var/lib/nfs; mount -t tmpfs none /run
rpcbind -w -f &
cat >ganesha.conf <<X
NFS_CORE_PARAM { Protocols = 3,4; Bind_addr=0.0.0.0; NFS_Port=22049; MNT_Port=22050; Enable_NLM=false; Enable_RQUOTA=false; }
NFSV4 { Graceless = true; RecoveryBackend = fs; }
NFS_KRB5 { Active_krb5 = false; }
EXPORT { Export_Id=1; Path=$PWD/open; Pseudo=/data/open; Access_Type=RO; SecType=sys; FSAL { Name=VFS; } }
EXPORT { Export_Id=2; Path=$PWD/strict; Pseudo=/strict; Access_Type=RO; SecType=krb5p; FSAL { Name=VFS; } CLIENT { Clients=10.9.8.0/24; Access_Type=RO; } }
X
sleep 0.5
ganesha.nfsd -F -L ganesha.log -f ganesha.conf -p ganesha.pid &
"#;
    let ready = "rpcinfo -p 2>/dev/null | grep -q mountd";
    let told = Told(scan(servers, ready, ASSAY, &["--family", "services"]));
    let nfs = told.item("[::ffff:0.0.0.0]:22049/tcp");
    let exports: Vec<(&str, &Value)> = nfs["exports"].as_array().unwrap().iter().map(|e| (e["name"].as_str().unwrap(), &e["security"])).collect();
    assert!(exports.contains(&("/strict", &serde_json::json!(["krb5p"]))), "{nfs:#}");
    assert!(exports.contains(&("/data/open", &serde_json::json!(["sys"]))), "{nfs:#}");
    assert_eq!(told.seen("[::ffff:0.0.0.0]:22049/tcp"), seen("nfs", "", "NFSv3 NFSv4.0 NFSv4.1 NFSv4.2"));
    assert_eq!(told.verdict("service-nfs-security", "[::ffff:0.0.0.0]:22049/tcp"), "fail");
    // Datagrams can't tell.
    assert_eq!(told.verdict("service-nfs-security", "[::ffff:0.0.0.0]:22049/udp"), "unknown");
    for transport in ["tcp", "udp"] {
        let mount = format!("[::ffff:0.0.0.0]:22050/{transport}");
        assert_eq!(told.seen(&mount), seen("mountd", "exports-to-all", "mount 1 mount 3"));
        assert_eq!(told.item(&mount)["exports"][1]["to"], serde_json::json!(["10.9.8.0/24"]));
        assert_eq!(told.verdict("service-nfs-exports-to-all", &mount), "fail");
        let mapper = format!("0.0.0.0:111/{transport}");
        assert_eq!(told.seen(&mapper), seen("rpcbind", "", "rpcbind 2 rpcbind 3 rpcbind 4"));
        assert_eq!(told.verdict("service-rpcbind-exposed", &mapper), "fail");
        assert!(told.item(&mapper)["source"]["directive"].as_str().unwrap().contains("mountd 1 3"));
    }
}

struct Looked {
    services: Vec<Service>,
    gaps: Vec<Gap>,
    took: Duration,
}

fn look(targets: &[String], exclusions: &[String], limits: &Limits) -> Looked {
    let plan = Plan { targets: targets.to_vec(), exclusions: exclusions.to_vec(), ..Plan::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut gaps = Gaps::new();
    let began = Instant::now();
    let surveyed = runtime.block_on(survey(&plan, limits, &mut gaps, &|_, _| {}));
    Looked { services: surveyed.services.unwrap().items, gaps: gaps.into_sorted(), took: began.elapsed() }
}

/// A socket of ours that answers each datagram with these.
fn answering(answers: Vec<Vec<u8>>) -> u16 {
    let socket = UdpSocket::bind(("127.0.0.1", crate::lab::free_port())).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((_, sender)) = socket.recv_from(&mut buffer) {
            for answer in &answers {
                let _ = socket.send_to(answer, sender);
            }
        }
    });
    port
}

#[test]
fn no_misbehaviour_of_datagrams_holds_a_survey() {
    let silent = UdpSocket::bind(("127.0.0.1", crate::lab::free_port())).unwrap();
    let cases = [
        (silent.local_addr().unwrap().port(), "silent"),
        (answering(vec![b"hello".to_vec()]), "unidentified"),
        (answering(vec![vec![0xff; 60_000]; 20]), "unidentified"),
        (answering(vec![Vec::new()]), "unidentified"),
        (crate::lab::free_port(), "refused"),
    ];
    let limits = Limits { endpoint_deadline: Duration::from_secs(8), ..Limits::default() };
    let targets: Vec<String> = cases.iter().map(|(port, _)| format!("127.0.0.1:{port}/udp")).collect();
    let looked = look(&targets, &[], &limits);
    assert!(looked.took < limits.endpoint_deadline + Duration::from_secs(2), "{:?}", looked.took);
    for ((_, outcome), target) in cases.iter().zip(&targets) {
        let service = looked.services.iter().find(|s| s.subject == *target).unwrap();
        assert_eq!((service.outcome.as_str(), service.transport.as_str()), (*outcome, "udp"), "{service:?}");
    }
    assert!(looked.gaps.is_empty(), "{:?}", looked.gaps);
}

#[test]
fn excluded_sockets_hear_nothing() {
    let socket = UdpSocket::bind(("127.0.0.1", crate::lab::free_port())).unwrap();
    let target = socket.local_addr().unwrap().to_string();
    for exclusion in [target.clone(), format!("{target}/udp")] {
        let looked = look(&[format!("{target}/udp")], &[exclusion], &Limits::default());
        assert_eq!(looked.services[0].outcome, "unasked");
    }
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv_from(&mut [0; 10]).is_err());
}
