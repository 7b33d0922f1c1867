//! What the user sets on a socket: socket(7)'s options, and DCCP's by Linux's names.

use crate::ccid;
use core::time::Duration;
use smallvec::SmallVec;
use sockeye_core::socket::{Domain, SocketCommon};
use sockeye_core::{Config, Error, OptionValue, SocketOption};
use sockeye_link::UdpPorts;

/// Service Codes of one listener (Linux: DCCP_SERVICE_LIST_MAX_LEN).
pub(crate) const SERVICES_MAX: usize = 32;
/// RFC 4340 §8.1.2: the value that is no Service Code.
pub(crate) const SERVICE_INVALID: u32 = u32::MAX;
/// Packets that wait to be sent, unless DCCP_SOCKOPT_QPOLICY_TXQLEN says otherwise; 0 is no limit.
const TX_QUEUE_DEFAULT: u32 = 0;

/// The options of a socket.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Options of socket(7), ip(7), ipv6(7).
    pub(crate) common: SocketCommon,
    /// SO_LINGER
    pub(crate) linger: Option<Duration>,
    /// SO_KEEPALIVE
    pub(crate) keep_alive: bool,
    /// SO_DONTROUTE
    pub(crate) dont_route: bool,
    /// DCCP_SOCKOPT_SERVICE, the first one; RFC 4340 §8.1.2: every socket has one.
    /// RFC 4340 §8.1.2-1 and §8.1.2-2: every socket has one, an active one no more.
    pub(crate) service: u32,
    /// The others of a listener.
    pub(crate) more_services: SmallVec<[u32; 4]>,
    /// DCCP_SOCKOPT_SERVER_TIMEWAIT
    pub(crate) server_time_wait: bool,
    /// DCCP_SOCKOPT_SEND_CSCOV
    pub(crate) send_coverage: u8,
    /// DCCP_SOCKOPT_RECV_CSCOV
    pub(crate) receive_coverage: u8,
    /// DCCP_SOCKOPT_TX_CCID
    pub(crate) tx_ccids: SmallVec<[u8; 4]>,
    /// DCCP_SOCKOPT_RX_CCID
    pub(crate) rx_ccids: SmallVec<[u8; 4]>,
    /// DCCP_SOCKOPT_QPOLICY_ID: what waits leaves by its priority, not in its order.
    pub(crate) by_priority: bool,
    /// DCCP_SOCKOPT_QPOLICY_TXQLEN
    pub(crate) tx_queue: u32,
    /// Short sequence numbers are asked for.
    pub(crate) short: bool,
    /// Data Checksums are sent, and the peer has to check them.
    pub(crate) data_checksum: bool,
    /// The peer's UDP port, where connections travel in UDP (RFC 6773); 0 for bare IP.
    pub(crate) encap_port: u16,
    /// The application asks its peer to go no faster (RFC 4340 §11.6).
    pub(crate) slow_receiver: bool,
}

impl Settings {
    pub(crate) fn new(domain: Domain, config: &Config) -> Self {
        Self {
            common: SocketCommon::new(domain, config),
            linger: None,
            keep_alive: false,
            dont_route: false,
            service: 0,
            more_services: SmallVec::new(),
            server_time_wait: false,
            send_coverage: 0,
            receive_coverage: 0,
            tx_ccids: SmallVec::from_slice(&[ccid::CCID2]),
            rx_ccids: SmallVec::from_slice(&[ccid::CCID2]),
            by_priority: false,
            tx_queue: TX_QUEUE_DEFAULT,
            short: false,
            data_checksum: false,
            encap_port: config.dccp.encap_port,
            slow_receiver: false,
        }
    }

    /// The UDP ports between which a connection to be opened travels. RFC 6773 §3.8 lets connections share
    /// a pair; ours is the one at which the node takes DCCP.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where it takes none, so that no answer would arrive.
    pub(crate) fn encapsulation(&self, config: &Config) -> Result<Option<UdpPorts>, Error> {
        match (self.encap_port, config.dccp.udp_port) {
            (0, _) => Ok(None),
            (_, 0) => Err(Error::NotSupported),
            (destination, source) => Ok(Some(UdpPorts {
                source,
                destination,
            })),
        }
    }

    /// Whether a listener answers Requests for `service`.
    /// RFC 4340 §8.1.2-6: 4,294,967,295 is nobody's.
    pub(crate) fn serves(&self, service: u32) -> bool {
        service != SERVICE_INVALID
            && (self.service == service || self.more_services.contains(&service))
    }

    /// What changes without a connection's knowing. `fresh`: there is no connection yet.
    ///
    /// # Errors
    /// Linux's: [`Error::Invalid`] out of range, [`Error::IsConnected`] for what is agreed on when the
    /// connection opens.
    pub(crate) fn set(
        &mut self,
        option: SocketOption,
        value: &OptionValue,
        fresh: bool,
    ) -> Result<(), Error> {
        let negotiated = matches!(
            option,
            SocketOption::DccpSendCoverage
                | SocketOption::DccpReceiveCoverage
                | SocketOption::DccpCcid
                | SocketOption::DccpTxCcid
                | SocketOption::DccpRxCcid
                | SocketOption::DccpQueuePolicy
        );
        if negotiated && !fresh {
            return Err(Error::IsConnected);
        }
        match option {
            SocketOption::KeepAlive => self.keep_alive = value.flag()?,
            SocketOption::DontRoute => self.dont_route = value.flag()?,
            SocketOption::Linger => self.linger = value.time()?,
            SocketOption::DccpService => self.set_services(value)?,
            SocketOption::DccpServerTimeWait => self.server_time_wait = value.int()? != 0,
            SocketOption::DccpSendCoverage => self.send_coverage = coverage(value)?,
            SocketOption::DccpReceiveCoverage => self.receive_coverage = coverage(value)?,
            SocketOption::DccpCcid => {
                self.tx_ccids = ccids(value)?;
                self.rx_ccids = self.tx_ccids.clone();
            }
            SocketOption::DccpTxCcid => self.tx_ccids = ccids(value)?,
            SocketOption::DccpRxCcid => self.rx_ccids = ccids(value)?,
            SocketOption::DccpQueuePolicy => self.by_priority = option.number(value)? == 1,
            SocketOption::DccpQueueLength => {
                self.tx_queue = u32::try_from(value.int()?).map_err(|_| Error::Invalid)?;
            }
            _ => return self.common.set_option(option, value),
        }
        Ok(())
    }

    fn set_services(&mut self, value: &OptionValue) -> Result<(), Error> {
        let OptionValue::Bytes(bytes) = value else {
            self.service = match value.int()?.cast_unsigned() {
                SERVICE_INVALID => return Err(Error::Invalid),
                // As a program has it: in network order.
                service => u32::from_be(service),
            };
            self.more_services.clear();
            return Ok(());
        };
        let (words, rest) = bytes.as_chunks::<4>();
        if words.is_empty() || !rest.is_empty() || words.len() > SERVICES_MAX {
            return Err(Error::Invalid);
        }
        let mut codes = words.iter().copied().map(u32::from_be_bytes);
        if codes.clone().any(|code| code == SERVICE_INVALID) {
            return Err(Error::Invalid);
        }
        self.service = codes.next().unwrap_or(0);
        self.more_services = codes.collect();
        Ok(())
    }

    /// See [`set`](Self::set).
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`].
    pub(crate) fn get(&self, option: SocketOption, config: &Config) -> Result<OptionValue, Error> {
        Ok(match option {
            SocketOption::KeepAlive => OptionValue::Flag(self.keep_alive),
            SocketOption::DontRoute => OptionValue::Flag(self.dont_route),
            SocketOption::Linger => OptionValue::Time(self.linger),
            SocketOption::DccpService => {
                let codes = [self.service].into_iter().chain(self.more_services.clone());
                OptionValue::Bytes(codes.flat_map(u32::to_be_bytes).collect())
            }
            SocketOption::DccpServerTimeWait => OptionValue::Int(self.server_time_wait.into()),
            SocketOption::DccpSendCoverage => OptionValue::Int(self.send_coverage.into()),
            SocketOption::DccpReceiveCoverage => OptionValue::Int(self.receive_coverage.into()),
            SocketOption::DccpAvailableCcids => OptionValue::Bytes(ccid::AVAILABLE.to_vec()),
            SocketOption::DccpQueuePolicy => OptionValue::Int(self.by_priority.into()),
            SocketOption::DccpQueueLength => {
                OptionValue::Int(i32::try_from(self.tx_queue).unwrap_or(i32::MAX))
            }
            _ => return self.common.option(option, config),
        })
    }
}

/// A CsCov.
fn coverage(value: &OptionValue) -> Result<u8, Error> {
    match value.int()? {
        n @ 0..=15 => Ok(n as u8),
        _ => Err(Error::Invalid),
    }
}

/// A preference list of CCIDs: bytes, or one as an int.
fn ccids(value: &OptionValue) -> Result<SmallVec<[u8; 4]>, Error> {
    let list: SmallVec<[u8; 4]> = match value {
        OptionValue::Bytes(bytes) => bytes.as_slice().into(),
        _ => {
            let one = u8::try_from(value.int()?).map_err(|_| Error::Invalid)?;
            SmallVec::from_slice(&[one])
        }
    };
    // Linux: at least one, at most four, none that there is not.
    let known = list.iter().all(|id| ccid::AVAILABLE.contains(id));
    match (1..=4).contains(&list.len()) && known {
        true => Ok(list),
        false => Err(Error::Invalid),
    }
}
