//! Which ports are scanned, in nmap's words, and what they are called.

use std::collections::BTreeMap;

/// Ports as `-p` names them, without doubles, in order.
///
/// A port, a name, or a range whose ends may be left out: `22,http,1000-,-100`, `-` for all.
pub(super) fn parse(text: &str, services: &Services) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for part in text.split(',') {
        let number = |text: &str, open_end: u16| match text {
            "" => Ok(open_end),
            _ => match text.parse::<u16>() {
                Ok(port) if port > 0 => Ok(port),
                _ => Err(format!(
                    "'{part}' names no ports: they are numbers from 1 to 65535, ranges like \
                     1-1024 and names like http"
                )),
            },
        };
        let named = services.ports(part);
        if !named.is_empty() {
            ports.extend(named);
        } else if let Some((first, last)) = part.split_once('-') {
            let (first, last) = (number(first, 1)?, number(last, u16::MAX)?);
            if first > last {
                return Err(format!("'{part}' ends before it begins"));
            }
            ports.extend(first..=last);
        } else {
            ports.push(number(if part.is_empty() { "0" } else { part }, 0)?);
        }
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// The names of well-known ports.
#[derive(Debug)]
pub(crate) struct Services {
    names: BTreeMap<u16, String>,
}

impl Services {
    /// Those of `protocol` (`tcp` or `udp`): of /etc/services where it is there, else of a table.
    pub(crate) fn of(protocol: &str) -> Self {
        let file = std::fs::read_to_string("/etc/services");
        Self::read(file.as_deref().unwrap_or(WELL_KNOWN), protocol)
    }

    /// What services(5) says: lines of `name port/protocol aliases # comment`.
    fn read(text: &str, protocol: &str) -> Self {
        let mut names = BTreeMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(at)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((port, protocols)) = at.split_once('/') else {
                continue;
            };
            if let Ok(port) = port.parse()
                && protocols.split('/').any(|known| known == protocol)
            {
                names.entry(port).or_insert_with(|| name.to_owned());
            }
        }
        Self { names }
    }

    /// What is usually there.
    pub(crate) fn name(&self, port: u16) -> Option<&str> {
        self.names.get(&port).map(String::as_str)
    }

    /// The ports of that name.
    fn ports(&self, name: &str) -> Vec<u16> {
        let named = self.names.iter().filter(|(_, known)| *known == name);
        named.map(|(port, _)| *port).collect()
    }

    /// Where to look when nothing is said: the system ports (RFC 6335 §6), and all that have a name.
    pub(super) fn usual(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = (1..1024).collect();
        ports.extend(self.names.range(1024..).map(|(port, _)| *port));
        ports
    }
}

/// What IANA's registry calls ports that are still met, for where there is no /etc/services.
const WELL_KNOWN: &str = "\
echo 7/tcp/udp
discard 9/tcp/udp
daytime 13/tcp/udp
chargen 19/tcp/udp
ftp-data 20/tcp
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp
time 37/tcp/udp
whois 43/tcp
tacacs 49/tcp/udp
domain 53/tcp/udp
bootps 67/udp
bootpc 68/udp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp
kerberos 88/tcp/udp
pop3 110/tcp
sunrpc 111/tcp/udp
auth 113/tcp
nntp 119/tcp
ntp 123/udp
epmap 135/tcp
netbios-ns 137/udp
netbios-dgm 138/udp
netbios-ssn 139/tcp
imap 143/tcp
snmp 161/tcp/udp
snmptrap 162/tcp/udp
xdmcp 177/udp
bgp 179/tcp
irc 194/tcp/udp
ldap 389/tcp/udp
https 443/tcp/udp
microsoft-ds 445/tcp/udp
kpasswd 464/tcp/udp
submissions 465/tcp
isakmp 500/udp
exec 512/tcp
login 513/tcp
shell 514/tcp
syslog 514/udp
printer 515/tcp
route 520/udp
dhcpv6-client 546/udp
dhcpv6-server 547/udp
rtsp 554/tcp/udp
nntps 563/tcp
submission 587/tcp
ipp 631/tcp/udp
ldaps 636/tcp
rsync 873/tcp
ftps 990/tcp
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
openvpn 1194/tcp/udp
ms-sql-s 1433/tcp
ms-sql-m 1434/udp
l2f 1701/udp
pptp 1723/tcp
radius 1812/tcp/udp
radius-acct 1813/tcp/udp
mqtt 1883/tcp
ssdp 1900/udp
nfs 2049/tcp/udp
zookeeper 2181/tcp
git 9418/tcp
iscsi-target 3260/tcp
mysql 3306/tcp
ms-wbt-server 3389/tcp/udp
stun 3478/tcp/udp
svn 3690/tcp
ipsec-nat-t 4500/udp
sip 5060/tcp/udp
sip-tls 5061/tcp
xmpp-client 5222/tcp
xmpp-server 5269/tcp
mdns 5353/udp
llmnr 5355/tcp/udp
postgresql 5432/tcp
amqps 5671/tcp
amqp 5672/tcp
rfb 5900/tcp
x11 6000/tcp
redis 6379/tcp
http-alt 8080/tcp
https-alt 8443/tcp
secure-mqtt 8883/tcp
";

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Services {
        Services::read(WELL_KNOWN, "tcp")
    }

    #[test]
    fn ports_are_read_as_by_nmap() {
        let read = |text| parse(text, &services());
        assert_eq!(read("22,80,22,443-445").unwrap(), [22, 80, 443, 444, 445]);
        assert_eq!(read("http,ssh").unwrap(), [22, 80]);
        assert_eq!(read("ftp-data").unwrap(), [20], "a name, no range");
        assert_eq!(read("-3").unwrap(), [1, 2, 3]);
        assert_eq!(read("65534-").unwrap(), [65_534, 65_535]);
        assert_eq!(read("-").unwrap().len(), 65_535);
        for wrong in ["", "0", "65536", "22,", "telnett", "5-x"] {
            let said = read(wrong).unwrap_err();
            assert!(said.contains("names no ports"), "{wrong}: {said}");
        }
        assert_eq!(read("9-3").unwrap_err(), "'9-3' ends before it begins");
    }

    #[test]
    fn services_are_read() {
        let text = "# a comment\nhttp 80/tcp www # the web\nsyslog\t514/udp\nshell 514/tcp\nodd\n";
        let tcp = Services::read(text, "tcp");
        assert_eq!((tcp.name(80), tcp.name(514)), (Some("http"), Some("shell")));
        assert_eq!(Services::read(text, "udp").name(514), Some("syslog"));
        let usual = services().usual();
        assert!(usual.contains(&1023) && usual.contains(&8080) && !usual.contains(&1024));
    }
}
