//! What a socket hears of what it sent: ICMP errors, its own node's refusals, the error queue.

use super::{DatagramSocket, ErrorReport, Origin, Plan};
use crate::demux::Endpoint;
use crate::internet_options::Switches;
use crate::socket::MtuDiscover;
use crate::transport::IcmpErrorKind;
use crate::{Context, Error, Handle, IcmpError, Readiness, Report};
use bytes::Bytes;
use std::net::SocketAddr;

impl DatagramSocket {
    /// An ICMP error arrived about a datagram to `destination`, of which `payload` is quoted. As on
    /// Linux a socket without a peer hears of it by IP_RECVERR alone, a `connected` one also of what
    /// will not pass.
    pub fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        handle: Handle,
        error: &IcmpError<'_>,
        destination: Endpoint,
        payload: &[u8],
        connected: bool,
    ) {
        let (kind, fatal) = error.kind.error();
        let (info, hard) = match error.kind {
            IcmpErrorKind::PacketTooBig { mtu } => {
                if self.common.mtu_policy(destination.ip) == MtuDiscover::Never {
                    return;
                }
                (mtu, true)
            }
            // RFC 6633 §5: source quench is ignored.
            IcmpErrorKind::Other => return,
            _ => (0, fatal),
        };
        let report = ErrorReport {
            error: kind,
            origin: Origin::Icmp,
            icmp_type: error.icmp_type,
            icmp_code: error.icmp_code,
            info,
            offender: Some(error.from),
            destination,
            payload: Bytes::copy_from_slice(payload),
        };
        self.report(cx, handle, report, hard && connected);
    }

    /// This node itself finds a datagram to `destination` too long for `plan`: IP_RECVERR is told as
    /// well, and IPV6_RECVPATHMTU who asked for no fragments.
    pub fn refused_here(
        &mut self,
        cx: &mut Context<'_>,
        handle: Handle,
        destination: Endpoint,
        plan: &Plan,
    ) {
        let extras = plan.extras.len(destination.ip.is_ipv4());
        let mtu = plan
            .info
            .route
            .mtu
            .saturating_sub((extras.0 + extras.1) as u32);
        let told = self.common.internet.switches.contains(Switches::PATH_MTU);
        if plan.no_fragments && told {
            self.path_mtu = Some((mtu, destination));
            cx.set_ready(handle, Readiness::READABLE);
        }
        if !self.wants_errors(destination) {
            return;
        }
        cx.set_ready(handle, Readiness::ERROR_QUEUE);
        self.errors.push(Report::Error(ErrorReport {
            error: Error::MessageSize,
            origin: Origin::Local,
            icmp_type: 0,
            icmp_code: 0,
            info: mtu,
            offender: None,
            destination,
            payload: Bytes::new(),
        }));
    }

    fn wants_errors(&self, destination: Endpoint) -> bool {
        let (v4, v6) = self.common.receive_errors;
        if destination.ip.is_ipv4() { v4 } else { v6 }
    }

    /// Queues a report where IP_RECVERR asks for one, and makes it the pending error where that
    /// or `hard` is so: ip(7).
    fn report(&mut self, cx: &mut Context<'_>, handle: Handle, report: ErrorReport, hard: bool) {
        let wanted = self.wants_errors(report.destination);
        let error = report.error;
        if wanted {
            self.errors.push(Report::Error(report));
        }
        if wanted || hard {
            self.set_error(cx, handle, error);
        }
    }

    /// A send with MSG_ZEROCOPY has succeeded; its data was copied, so it is over.
    pub fn sent_zero_copy(&mut self, cx: &mut Context<'_>, handle: Handle) {
        if !self.common.zero_copy {
            return;
        }
        let number = self.zero_copies;
        self.zero_copies = number.wrapping_add(1);
        self.errors.push(Report::ZeroCopy {
            first: number,
            last: number,
        });
        cx.set_ready(handle, Readiness::ERROR_QUEUE);
    }

    /// Takes the next report of the error queue (MSG_ERRQUEUE), and where its datagram was sent to,
    /// where it is of one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when there is none.
    pub fn recv_error(&mut self) -> Result<(Report, Option<SocketAddr>), Error> {
        let report = self.errors.pop().ok_or(Error::WouldBlock)?;
        // Linux: what is told in the queue is pending no longer; the next one there is.
        if report.is_icmp() {
            self.error = self.errors.front().and_then(|next| match next {
                Report::Error(next) if next.origin == Origin::Icmp => Some(next.error),
                _ => None,
            });
        }
        let to = match &report {
            Report::Error(error) => Some(self.common.show(error.destination)),
            Report::ZeroCopy { .. } => None,
        };
        Ok((report, to))
    }
}
