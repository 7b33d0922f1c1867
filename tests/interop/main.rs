//! sockeye against programs and a kernel that know nothing of it.

mod autoconf;
mod broadcast;
mod counters;
mod cpython;
mod dccp;
mod descriptors;
mod ecn;
mod egress;
mod fast_open;
mod forward;
mod group_options;
mod host;
mod hostile;
mod kill;
mod md5;
mod memory;
mod messages;
mod multicast;
mod nc;
mod netlink;
mod options;
mod ospf;
mod packet;
mod packet_sides;
mod programs;
mod publish;
mod raw;
mod resolver;
mod rpc;
mod run;
mod scan;
mod sctp;
mod sctp_extensions;
mod sctp_stage;
mod served;
mod signals;
mod soak;
mod switch;
mod tap;
mod tools;
mod udp;
mod udp_sides;
mod uml;
mod urgent;
mod wire;

fn main() {
    sockeye_tests::harness(&[
        run::TESTS,
        programs::TESTS,
        served::TESTS,
        publish::TESTS,
        soak::TESTS,
        egress::TESTS,
        signals::TESTS,
        switch::TESTS,
        resolver::TESTS,
        kill::TESTS,
        tap::TESTS,
        wire::TESTS,
        forward::TESTS,
        fast_open::TESTS,
        urgent::TESTS,
        memory::TESTS,
        messages::TESTS,
        md5::TESTS,
        ecn::TESTS,
        tools::TESTS,
        scan::TESTS,
        nc::TESTS,
        netlink::TESTS,
        raw::TESTS,
        options::TESTS,
        ospf::TESTS,
        packet::TESTS,
        group_options::TESTS,
        multicast::TESTS,
        broadcast::TESTS,
        counters::TESTS,
        cpython::TESTS,
        autoconf::TESTS,
        udp::TESTS,
        hostile::TESTS,
        uml::TESTS,
        rpc::TESTS,
        rpc::BINDER_TESTS,
        sctp::TESTS,
        sctp_extensions::linux::TESTS,
        sctp_extensions::usrsctp::TESTS,
        dccp::TESTS,
        descriptors::TESTS,
    ]);
}
