//! What a server may answer in a datagram, and in a record of ONC RPC.
#![no_main]

use assay::probe::service::{dns, rpc};
use assay::probe::udp::{memcached, ntp, snmp, tftp};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let replies: Vec<snmp::Reply> = snmp::parse(data).into_iter().collect();
    let _ = snmp::seen(&replies);
    let answers: Vec<ntp::Answer> = ntp::parse(data).into_iter().collect();
    let _ = ntp::seen(&answers);
    if let Some(answer) = tftp::parse(data) {
        let _ = tftp::seen(&answer);
    }
    let _ = memcached::parse(data);
    for query in [dns::ROOT, dns::VERSION, dns::RECURSIVE] {
        let answer = query.answer(data);
        let _ = dns::seen(answer.as_ref(), answer.as_ref(), answer.as_ref());
    }
    rpc::read_anything(data);
});
