//! ICMP errors for connections with TCP-AO (RFC 5925 §7.8): nobody signs them, so the hard ones are
//! not believed.

use crate::State;
use crate::tcb::Tcb;
use sockeye_core::transport::IcmpErrorKind;
use sockeye_core::{Context, Counter};

impl Tcb {
    /// RFC 5925 §7.8: in a synchronized state, ICMPv4's Destination Unreachable with codes 2 to 4
    /// and ICMPv6's with codes 1 and 4 are ignored, unless the user wants them. A path that is
    /// narrower than IPv4's interface is then found by nobody: whoever needs it sets accept_icmps.
    pub(crate) fn ignores_icmp(&mut self, cx: &mut Context<'_>, kind: IcmpErrorKind) -> bool {
        let v4 = self.flow.remote.ip.is_ipv4();
        let hard = match kind {
            IcmpErrorKind::PortUnreachable => true,
            IcmpErrorKind::ProtocolUnreachable | IcmpErrorKind::PacketTooBig { .. } => v4,
            IcmpErrorKind::Prohibited => !v4,
            _ => false,
        };
        let synchronized = !matches!(self.state, State::SynSent | State::SynReceived);
        let Some(ao) = self.auth.as_mut().and_then(|auth| auth.ao.as_mut()) else {
            return false;
        };
        if !hard || !synchronized || ao.accept_icmp {
            return false;
        }
        ao.counters.dropped_icmp = ao.counters.dropped_icmp.saturating_add(1);
        cx.counters.add(Counter::TcpExtTCPAODroppedIcmps);
        true
    }
}
